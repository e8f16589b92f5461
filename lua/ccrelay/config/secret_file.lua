-- SPDX-License-Identifier: Apache-2.0
-- Values from files: ${file:/PATH}, and ${credential:NAME} for a credential of systemd (LoadCredential=). A file must
-- obey the rule for configurations: nobody but its owner may have written it. One line break at its end is taken off.
-- Only configuration files may name files: a script must not read any by declaring a provider.
local each = require 'ccrelay.util.each'
local file = require 'ccrelay.config.file'

local M = {}

local MOST_BYTES = 65536

---@class ccrelay.SecretFile
---@field path string? nil when it is not known where the file is
---@field text string? what it holds
---@field reason string? why there is no text

--- Tells whether the text between "${" and "}" names a file.
---@param inside string
---@return boolean
function M.is_reference(inside)
  return inside:find '^file:/.' ~= nil or inside:find '^credential:[%w_][%w_.@-]*$' ~= nil
end

local function path_of(reference, env)
  local path = reference:match '^file:(.*)$'
  if path then return path end
  local folder = env 'CREDENTIALS_DIRECTORY'
  if folder == nil or folder == '' then return nil, 'CREDENTIALS_DIRECTORY is not set' end
  return folder .. '/' .. reference:match '^credential:(.*)$'
end

local function read(reference, env, insecure)
  local path, reason = path_of(reference, env)
  if not path then return { reason = reason } end
  local text
  text, reason = file.read(path, { limit = MOST_BYTES, insecure = insecure })
  text = text and text:gsub('\r?\n$', '')
  if text == '' then reason = 'it is empty' end
  return { path = path, text = text, reason = reason }
end

--- Reads all files that a configuration names, comments included.
---@param text string of the configuration
---@param env fun(name: string): string?
---@param insecure boolean? whoever may have written them
---@return table<string, ccrelay.SecretFile> files by reference
function M.read_all(text, env, insecure)
  local files = {}
  for inside in text:gmatch '%${([^{}]*)}' do
    if M.is_reference(inside) then files[inside] = files[inside] or read(inside, env, insecure) end
  end
  return files
end

--- The environment with files beside its variables.
---@param env fun(name: string): string?
---@param files table<string, ccrelay.SecretFile>|false|nil what was read before; nil: read when asked for; false: none
---@param insecure boolean?
---@return fun(name: string): string? env
---@return fun(name: string): string lack says why a name has no value
function M.beside(env, files, insecure)
  local known = files or {}
  local function find(name)
    if files == nil then known[name] = known[name] or read(name, env, insecure) end
    return known[name] or { reason = 'only a configuration file may name files' }
  end
  local function lack(name)
    if not M.is_reference(name) then return ('the variable %s is not set'):format(name) end
    local one = find(name)
    return ('the file of ${%s} cannot be used: %s'):format(name, one.reason)
  end
  return function(name)
    if M.is_reference(name) then return find(name).text end
    return env(name)
  end, lack
end

--- Compares two sets of files byte for byte.
---@param a table<string, ccrelay.SecretFile>?
---@param b table<string, ccrelay.SecretFile>?
---@return boolean
function M.same(a, b)
  a, b = a or {}, b or {}
  for name, one in each(a) do
    local other = b[name]
    if not other or one.text ~= other.text or one.reason ~= other.reason then return false end
  end
  for name in each(b) do
    if not a[name] then return false end
  end
  return true
end

return M
