-- SPDX-License-Identifier: Apache-2.0
-- Writes members into the settings file of Claude Code and takes them out again. It guarantees that taking them out
-- restores the file byte for byte if nobody has changed it since, and otherwise undoes only what was written.
--
-- Two files lie beside settings.json while members of ours are in it: settings.json.before-ccrelay, a copy from before
-- (unless there was no file), and settings.json.ccrelay, the record of what was written.
local ffi = require 'ffi'
local C = require 'ccrelay.c'
local file = require 'ccrelay.config.file'
local json = require 'ccrelay.util.json'
local json_edit = require 'ccrelay.util.json_edit'

local M = {}

local BACKUP, RECORD = '.before-ccrelay', '.ccrelay'
local OWNER_ONLY = 384 -- mode 0600

---@class ccrelay.SettingsMember
---@field path string names joined by dots, such as "env.ANTHROPIC_BASE_URL"
---@field value string

--- Returns the path of the settings file of this user.
---@param env fun(name: string): string?
---@return string? path nil if neither CLAUDE_CONFIG_DIR nor HOME is set
function M.path(env)
  local folder, home = env 'CLAUDE_CONFIG_DIR', env 'HOME'
  if folder and folder ~= '' then return folder .. '/settings.json' end
  return home and home ~= '' and home .. '/.claude/settings.json' or nil
end

-- The text of a file; nil and no reason when there is no file.
local function read(path)
  if not file.exists(path) then return nil end
  local text, reason = file.read(path, { insecure = true })
  return text, not text and ('%s: %s'):format(path, reason) or nil
end

local function write(path, text)
  if C.cc_file_write(path, text, #text, OWNER_ONLY) == C.CC_OK then return true end
  return nil, ffi.string(C.cc_system_error())
end

local function fault_of(path, text)
  local reason, line = json_edit.fault(text)
  if reason then return ('%s:%d: %s; nothing was changed'):format(path, line, reason) end
  local env = json_edit.get(text, 'env')
  if env and env:sub(1, 1) ~= '{' then return path .. ': env is not an object; nothing was changed' end
end

-- The settings as they are: the text, "{}" for a blank one; nil when there is no file.
local function settings_at(path)
  local text, message = read(path)
  if not text then return nil, message end
  local fault = text:find '%S' and fault_of(path, text)
  if fault then return nil, fault end
  return text
end

local function merged(text, members)
  if not text or not text:find '%S' then text = '{}\n' end
  for _, member in ipairs(members) do text = json_edit.set(text, member.path, json.quote(member.value)) end
  return text
end

-- Takes out what is still as it was written, and puts back what stood there before.
local function taken_out(text, before, members)
  before = before and before:find '%S' and before or '{}'
  for index = #members, 1, -1 do
    local member = members[index]
    if json_edit.get(text, member.path) == json.quote(member.value) then
      local earlier = json_edit.get(before, member.path)
      text = earlier and json_edit.set(text, member.path, earlier) or json_edit.remove(text, member.path)
    end
  end
  local env = json_edit.get(text, 'env')
  if env and env:find '^{%s*}$' and not json_edit.get(before, 'env') then text = json_edit.remove(text, 'env') end
  return text
end

-- The settings without what was written; nil when there was no file and nothing else is in it now.
local function undone(text, record)
  if merged(record.before, record.members) == text then return record.before end
  local rest = taken_out(text, record.before, record.members)
  return (record.before or not rest:find '^%s*{%s*}%s*$') and rest or nil
end

-- Reads the record of what init wrote: { members =, before = the earlier text or nil }; nil without a record.
local function record_at(path)
  local text, message = read(path .. RECORD)
  if not text then return nil, message end
  local ok, record = pcall(json.decode, text)
  if not ok or type(record) ~= 'table' or type(record.members) ~= 'table' then
    return nil, ('%s: this is not the record of an earlier init; nothing was changed'):format(path .. RECORD)
  end
  record.before, message = read(path .. BACKUP)
  if message then return nil, message end
  local fault = record.before and record.before:find '%S' and fault_of(path .. BACKUP, record.before)
  if fault then return nil, fault end
  return record
end

-- The settings and the record; false and a message when one of them cannot be used.
local function load(path)
  local text, wrong = settings_at(path)
  if wrong then return false, wrong end
  local record, lack = record_at(path)
  if lack then return false, lack end
  return true, text, record
end

-- Writes or, without text, removes a file.
local function put(path, text)
  if text then return write(path, text) end
  if not file.exists(path) then return true end
  local ok, message = os.remove(path)
  return ok, message
end

local function put_all(list)
  for _, entry in ipairs(list) do
    local ok, message = put(entry[1], entry[2])
    if not ok then return nil, message end
  end
  return true
end

--- Writes members into the settings; what an earlier call wrote is taken out first.
---@param path string of the settings file
---@param members ccrelay.SettingsMember[]
---@return string[]? replaced paths of members that had another value before; nil if nothing was written
---@return string? message why not
function M.init(path, members)
  local ok, text, record = load(path)
  if not ok then return nil, text end
  local before = text
  if text and record then before = undone(text, record) end
  local replaced = {}
  for _, member in ipairs(members) do
    local earlier = before and before:find '%S' and json_edit.get(before, member.path)
    if earlier and earlier ~= json.quote(member.value) then replaced[#replaced + 1] = member.path end
  end
  local done, message = put_all {
    { path .. BACKUP, before }, { path .. RECORD, json.encode { members = members } .. '\n' },
    { path, merged(before, members) },
  }
  if not done and not record then put_all { { path .. RECORD }, { path .. BACKUP } } end
  return done and replaced, message
end

--- Tells whether the settings have a member.
---@param path string of the settings file
---@param member string names joined by dots
---@return boolean
function M.has(path, member)
  local text = settings_at(path)
  return text ~= nil and json_edit.get(text, member) ~= nil
end

--- Takes out what init wrote.
---@param path string of the settings file
---@return boolean? removed false when init has written nothing; nil after a fault
---@return string? message
function M.remove(path)
  local ok, text, record = load(path)
  if not ok then return nil, text end
  if not record then return false end
  local list = { { path .. RECORD }, { path .. BACKUP } }
  if text then table.insert(list, 1, { path, undone(text, record) }) end
  local done, message = put_all(list)
  return done and true, message
end

return M
