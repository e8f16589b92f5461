-- SPDX-License-Identifier: Apache-2.0
-- Reads the two files of the AWS tools, config and credentials, as one list of profiles.
local each = require 'ccrelay.util.each'
local lists = require 'ccrelay.util.lists'
local ini = require 'ccrelay.credentials.aws.ini'
local keys = require 'ccrelay.credentials.aws.keys'
local shell_words = require 'ccrelay.credentials.aws.shell_words'

local M = {}

---@class ccrelay.AwsProfile
---@field name string
---@field file string path of its file, for messages
---@field values table<string, string> the settings of both files; those of credentials win
---@field keys_in 'config'|'credentials' the file that its key pair is taken from

---@class ccrelay.AwsFiles
---@field config string its path, or why there is none
---@field credentials string
---@field profiles table<string, ccrelay.AwsProfile>
---@field sessions table<string, table<string, string>> the sso-session sections
---@field complaints string[] messages about files that exist but cannot be read

local KEYS = { 'aws_access_key_id', 'aws_secret_access_key', 'aws_session_token' }
local ABSENT = { 'no such file', 'no such directory', 'not a directory' }

M.KEYS = KEYS

--- Replaces "~/" at the beginning of a path by the home folder; nil if that is unknown.
---@param context ccrelay.Host
---@param path string
---@return string?
function M.expand(context, path)
  if string.sub(path, 1, 2) ~= '~/' then return path end
  local home = keys.env(context, 'HOME')
  return home and string.gsub(home, '/+$', '') .. string.sub(path, 2) or nil
end

local function path_of(context, variable, usual)
  local given = keys.env(context, variable)
  return M.expand(context, given or usual), given ~= nil
end

--- Tells whether a file could not be read because it does not exist.
--- Takes the reason that Host.read gave.
---@param reason string?
---@return boolean
function M.is_absent(reason)
  local words_of = string.lower(tostring(reason))
  for _, part in ipairs(ABSENT) do
    if string.find(words_of, part, 1, true) then return true end
  end
  return false
end

-- A file that cannot be read is a fault only if a variable names it: in a container the home folder may belong to
-- another user.
local function sections_of(context, files, what, variable)
  local path, named = path_of(context, variable, '~/.aws/' .. what)
  files[what] = path or '~/.aws/' .. what .. ' (HOME is not set)'
  if not path then return {} end
  local text, reason = context.read(path)
  if text then return ini.parse(text, path) end
  if M.is_absent(reason) then return {} end
  local complaint = path .. ' cannot be read: ' .. tostring(reason)
  if named then return nil, complaint .. ' (' .. variable .. ' names it)' end
  files.complaints[#files.complaints + 1] = complaint
  return {}
end

local function add_config(files, header, section)
  local parts = shell_words.split(header) or {}
  if parts[1] == 'profile' and #parts == 2 then
    local name = parts[2]
    files.profiles[name] = { name = name, file = files.config, values = section.values, keys_in = 'config' }
  elseif parts[1] == 'sso-session' and #parts == 2 then
    files.sessions[parts[2]] = section.values
  end
end

local function add_credentials(files, name, section)
  local profile = files.profiles[name]
  if not profile then
    profile = { name = name, values = {} }
    files.profiles[name] = profile
  end
  if section.values[KEYS[1]] or section.values[KEYS[2]] then
    for _, key in ipairs(KEYS) do profile.values[key] = nil end
    profile.keys_in = 'credentials'
  end
  profile.file = profile.file or files.credentials
  for key, value in each(section.values) do profile.values[key] = value end
end

--- Reads both files. A file that does not exist counts as empty.
---@param context ccrelay.Host
---@return ccrelay.AwsFiles? files
---@return string? message
function M.load(context)
  local files = { profiles = {}, sessions = {}, complaints = {} }
  local config, message = sections_of(context, files, 'config', 'AWS_CONFIG_FILE')
  if not config then return nil, message end
  local credentials
  credentials, message = sections_of(context, files, 'credentials', 'AWS_SHARED_CREDENTIALS_FILE')
  if not credentials then return nil, message end
  if config.default then add_config(files, 'profile default', config.default) end
  for header, section in each(config) do add_config(files, header, section) end
  for name, section in each(credentials) do add_credentials(files, name, section) end
  return files
end

--- Lists the keys of a table in alphabetical order, for messages.
---@param map table<string, any>
---@return string
function M.names(map)
  local names = lists.names(map)
  return #names > 0 and table.concat(names, ', ') or 'none'
end

--- Returns the message for a profile that does not exist.
---@param files ccrelay.AwsFiles
---@param name string
---@return string
function M.missing(files, name)
  local text = string.format('the AWS profile "%s" is neither in %s nor in %s; there are: %s', name, files.config,
    files.credentials, M.names(files.profiles))
  for _, complaint in ipairs(files.complaints) do text = text .. '; ' .. complaint end
  return text
end

return M
