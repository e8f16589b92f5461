-- SPDX-License-Identifier: Apache-2.0
-- Reads files that hold secrets or decide who may use them: finds the configuration, and refuses a file that others may
-- have written.
local bit = require 'bit'
local ffi = require 'ffi'
local C = require 'ccrelay.c'

local M = {}

local MOST_LINKS = 40 -- as in the Linux kernel
local PATH_BYTES = 4096
local OTHERS_READ = 4
local OTHERS_WRITE = 2
local GROUP_WRITE = 16

M.MOST_BYTES = 4 * 1024 * 1024

--- Returns why a file must not be trusted, and how to change that; nil if it may be. Checks only the file, not its
--- folders.
---@param facts {owner: integer, group: integer, mode: integer}
---@param user integer? the current user by default
---@param group integer? the primary group of the current user by default
---@return string? reason
---@return string? remedy
function M.distrust(facts, user, group)
  user, group = user or C.cc_user(), group or C.cc_group()
  if facts.owner ~= 0 and facts.owner ~= user then
    return ('it belongs to user %d, not to root or the running user'):format(facts.owner), 'chown it'
  end
  if bit.band(facts.mode, OTHERS_WRITE) ~= 0 then return 'everybody may write to it', 'chmod o-w' end
  local own = facts.owner == user and group or 0
  if bit.band(facts.mode, GROUP_WRITE) ~= 0 and facts.group ~= own then
    return ('group %d may write to it'):format(facts.group), 'chmod g-w'
  end
end

local reasons = {
  [tonumber(C.CC_ENOTFOUND)] = function() return 'there is no such file' end,
  [tonumber(C.CC_ELIMIT)] = function(limit) return ('the file is larger than %d bytes'):format(limit) end,
  [tonumber(C.CC_EINVAL)] = function() return 'it is not a regular file' end,
  [tonumber(C.CC_ESYSTEM)] = function() return ffi.string(C.cc_system_error()) end,
}

local link = ffi.new('char[?]', PATH_BYTES)

-- Returns the target of the symbolic link at path, or nil.
local function link_at(path)
  local size = C.cc_file_link(path, link, PATH_BYTES)
  return size >= 0 and ffi.string(link, size) or nil
end

-- Returns the parent of a folder whose path has no links. Both end with "/", except the current folder, which is "".
local function above(folder)
  local name = folder:match '([^/]+)/$'
  if folder == '/' then return folder end
  return name and name ~= '..' and folder:sub(1, -#name - 2) or folder .. '../'
end

--- Returns the symbolic links on the path to a file, and last the file itself. Whenever the file is replaced, an entry
--- in the folder of one of them changes.
---@param path string
---@return string[]
function M.way(path)
  local way, done, rest = {}, path:sub(1, 1) == '/' and '/' or '', path
  while #way <= MOST_LINKS do
    local name, more = rest:match '^/*([^/]+)(.*)$'
    if not name then break end
    local target = link_at(done .. name)
    if target then
      way[#way + 1] = done .. name
      done, rest = target:sub(1, 1) == '/' and '/' or done, target .. more
    elseif name == '..' then
      done, rest = above(done), more
    else
      done, rest = name == '.' and done or done .. name .. '/', more
    end
  end
  way[#way + 1] = done:match '^(.+)/$' or done
  return way
end

-- A link is checked by its target, so the message names the target too.
local function complaint(path, words)
  local way = M.way(path)
  return #way == 1 and words or words .. '; this is a link to ' .. way[#way]
end

local function refusal(facts)
  local reason, remedy = M.distrust(facts)
  return reason and ('refused: %s (%s, or start with --insecure-permissions)'):format(reason, remedy)
end

-- Returns the bytes of a file, to be freed with C.cc_free, and its facts; or nil and why it cannot be read.
local function take(path, limit)
  if path:find '%z' then return nil, 'there is no such file' end
  local file = ffi.new 'struct cc_file'
  local status = C.cc_file_read(path, limit, file)
  if status == C.CC_OK then return file, { owner = file.owner, group = file.group, mode = file.mode } end
  local reason = reasons[status]
  return nil, complaint(path, reason and reason(limit) or ffi.string(C.cc_error_text(status)))
end

--- Returns who owns a file and who may use it; nil if it cannot be read. Wipes its bytes, which may be a key.
---@param path string
---@return {owner: integer, group: integer, mode: integer}?
function M.facts(path)
  local file, facts = take(path, M.MOST_BYTES)
  if not file then return nil end
  C.cc_free(file.data)
  return facts
end

--- Reads a whole file. Unless insecure is set, a file that others may have written is refused; a symbolic link is
--- checked by its target.
---@param path string
---@param options {limit: integer?, insecure: boolean?}?
---@return string? text, string? reason
function M.read(path, options)
  local file, facts = take(path, options and options.limit or M.MOST_BYTES)
  if not file then return nil, facts end
  local text = ffi.string(file.data, file.size)
  C.cc_free(file.data)
  local refused = not (options and options.insecure) and refusal(facts)
  if refused then return nil, complaint(path, refused) end
  return text
end

--- Returns why a file is refused because others may have written it; nil if it is not, or if it cannot be read.
---@param path string
---@return string? reason
function M.refused(path)
  local facts = M.facts(path)
  local refused = facts and refusal(facts)
  return refused and complaint(path, refused) or nil
end

--- Whether every user may read a file.
---@param path string
---@return boolean
function M.is_open(path)
  local facts = M.facts(path)
  return facts ~= nil and bit.band(facts.mode, OTHERS_READ) ~= 0
end

--- Tells whether a path exists, even if it cannot be read.
---@param path string
---@return boolean
function M.exists(path)
  local file = ffi.new 'struct cc_file'
  local status = C.cc_file_read(path, 0, file)
  if status == C.CC_OK then C.cc_free(file.data) end
  return status ~= C.CC_ENOTFOUND
end

local function variable(env, name)
  local value = env(name)
  return value ~= '' and value or nil
end

local function add(places, folder)
  places[#places + 1] = folder .. '/config.yaml'
  places[#places + 1] = folder .. '/config.toml'
end

--- Returns the places where a configuration is searched, in order. The last ones are those of cc-relay, whose
--- configurations can be used unchanged.
---@param env fun(name: string): string?
---@return string[] places
---@return string? named the place that CC_RELAY_CONFIG names
function M.places(env)
  local places, home, named = {}, variable(env, 'HOME'), variable(env, 'CC_RELAY_CONFIG')
  local shared = variable(env, 'XDG_CONFIG_HOME') or home and home .. '/.config'
  add(places, '.')
  if shared then add(places, shared .. '/ccrelay') end
  add(places, '/etc/ccrelay')
  places[#places + 1] = named
  if home then add(places, home .. '/.config/cc-relay') end
  return places, named
end

--- Returns the given path, or the first place that has a file; nil if none has. The file that CC_RELAY_CONFIG names is
--- returned even if it does not exist, so that a wrong name is an error and does not start the built-in configuration.
---@param path string?
---@param env fun(name: string): string?
---@return string?
function M.find(path, env)
  if path then return path end
  local places, named = M.places(env)
  for _, place in ipairs(places) do
    if place == named or M.exists(place) then return place end
  end
end

--- Returns the names of the .lua files in a folder, without the extension, sorted.
---@param folder string
---@return string[]
function M.scripts(folder)
  local out, size, names = ffi.new 'char *[1]', ffi.new 'uint32_t[1]', {}
  if C.cc_folder(folder, '.lua', out, size) ~= C.CC_OK then return names end
  for name in ffi.string(out[0], size[0]):gmatch '[^%z]+' do names[#names + 1] = (name:gsub('%.lua$', '')) end
  C.cc_free(out[0])
  table.sort(names)
  return names
end

return M
