-- SPDX-License-Identifier: Apache-2.0
-- Files that hold or decide over secrets: where to look for the configuration, who may have written
-- it, and its bytes.
local bit = require 'bit'
local ffi = require 'ffi'
local C = require 'ccrelay.c'

local M = {}

local MOST_LINKS = 40 -- as the kernel
local PATH_BYTES = 4096
local OTHERS_READ = 4
local OTHERS_WRITE = 2
local GROUP_WRITE = 16

M.MOST_BYTES = 4 * 1024 * 1024

--- Why a file must not be trusted, and what to do about it, or nil. Judges the file alone, not its
--- folders.
---@param facts {owner: integer, group: integer, mode: integer}
---@param user integer? the running user unless given
---@param group integer? and its primary group
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

-- What the symbolic link at path says, or nil.
local function link_at(path)
  local size = C.cc_file_link(path, link, PATH_BYTES)
  return size >= 0 and ffi.string(link, size) or nil
end

-- The folder above one on whose way there are no links; both end with "/", but for the current one: "".
local function above(folder)
  local name = folder:match '([^/]+)/$'
  if folder == '/' then return folder end
  return name and name ~= '..' and folder:sub(1, -#name - 2) or folder .. '../'
end

--- The symbolic links on the way to a file, and last the file itself: whenever what path leads to is
--- replaced, an entry of one of their folders changes.
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

-- A link is judged by the file it leads to, so a complaint names that one too.
local function complaint(path, words)
  local way = M.way(path)
  return #way == 1 and words or words .. '; this is a link to ' .. way[#way]
end

local function refusal(facts)
  local reason, remedy = M.distrust(facts)
  return reason and ('refused: %s (%s, or start with --insecure-permissions)'):format(reason, remedy)
end

-- A file that has been read, for C.cc_free, and what is known of it; or nil and why it cannot be read.
local function take(path, limit)
  if path:find '%z' then return nil, 'there is no such file' end
  local file = ffi.new 'struct cc_file'
  local status = C.cc_file_read(path, limit, file)
  if status == C.CC_OK then return file, { owner = file.owner, group = file.group, mode = file.mode } end
  local reason = reasons[status]
  return nil, complaint(path, reason and reason(limit) or ffi.string(C.cc_error_text(status)))
end

-- What is known of a file, or nil. Its bytes, which may be a key, are wiped.
local function facts_of(path)
  local file, facts = take(path, M.MOST_BYTES)
  if not file then return nil end
  C.cc_free(file.data)
  return facts
end

--- Reads a file whole. Unless insecure is set, one that someone else could have written is refused;
--- a symbolic link is judged by the file it leads to.
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

--- Why a file is refused that someone else could have written, or nil; nil too for one that cannot be read.
---@param path string
---@return string? reason
function M.refused(path)
  local facts = facts_of(path)
  local refused = facts and refusal(facts)
  return refused and complaint(path, refused) or nil
end

--- Whether every user may read a file.
---@param path string
---@return boolean
function M.is_open(path)
  local facts = facts_of(path)
  return facts ~= nil and bit.band(facts.mode, OTHERS_READ) ~= 0
end

--- Whether there is something at a path, even if it cannot be read.
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

--- The places where a configuration is looked for, in order. The last ones are those of cc-relay, whose
--- configurations can be used as they are.
---@param env fun(name: string): string?
---@return string[] places
---@return string? named the one of them that CC_RELAY_CONFIG names
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

--- The path given, or the first place that has a file; nil when none has. What CC_RELAY_CONFIG names is
--- taken even if it is not there, so that a wrong name is told and does not start the built-in
--- configuration.
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

--- Names of the files in folder that end in .lua, without it, sorted.
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
