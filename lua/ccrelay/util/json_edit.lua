-- SPDX-License-Identifier: Apache-2.0
-- Sets and removes members of a JSON text that a person or another program wrote. It guarantees that all other bytes,
-- the order of members and the indentation stay as they are.
local ffi = require 'ffi'
local C = require 'ccrelay.c'
local json = require 'ccrelay.util.json'

local M = {}

local place_type = ffi.typeof 'struct cc_json_place'

local function line_of(text, at)
  local _, count = text:sub(1, at):gsub('\n', '')
  return count + 1
end

-- The member at a path: indices of its key's first byte, its value's first and last byte; or nil.
local function find(text, path)
  local place = place_type()
  if C.cc_json_place(text, #text, path, #path, place) ~= C.CC_OK then return nil end
  return place.key + 1, place.value + 1, place.value + place.value_size
end

--- Why a text is not a JSON object, or nil when it is one.
---@param text string
---@return string? reason
---@return integer? line the line of the first byte that does not fit
function M.fault(text)
  local place = place_type()
  local status = C.cc_json_place(text, #text, 'x', 1, place)
  if status == C.CC_OK or status == C.CC_ENOTFOUND then return nil end
  if status == C.CC_EJSON_OBJECT then return 'this is not a JSON object', 1 end
  local at = place.value
  if at >= #text then return 'the JSON text ends too early', line_of(text, at) end
  return ('this is not valid JSON; unexpected %s'):format(json.quote(text:sub(at + 1, at + 1))), line_of(text, at)
end

--- Returns the JSON text of a member.
---@param text string a JSON object
---@param path string names joined by dots
---@return string? value nil when there is no such member
function M.get(text, path)
  local _, first, last = find(text, path)
  return first and text:sub(first, last) or nil
end

local function last_before(text, at)
  local last = at - 1
  while text:find('^%s', last) do last = last - 1 end
  return last
end

-- The white space of a line at a depth, in the style of the text; "" in a text without lines.
local function indentation(text, depth)
  local unit = text:match '\n([ \t]+)"'
  if not unit and not text:find '^%s*{%s*}%s*$' and not text:find '{%s*\n' then return '' end
  return (text:find '\r\n' and '\r\n' or '\n') .. (unit or '  '):rep(depth)
end

-- Adds a member to the object from its brace at open to that at close.
local function add(text, open, close, name, value, depth)
  local colon = text:find '":%S' and not text:find '":%s' and ':' or ': '
  local member = json.quote(name) .. colon .. value
  local last = last_before(text, close)
  if last == open then
    local lead = indentation(text, depth)
    local tail = lead ~= '' and indentation(text, depth - 1) or ''
    return text:sub(1, open) .. lead .. member .. tail .. text:sub(close)
  end
  local lead = text:match('^%s+', open + 1) or colon:sub(2)
  return text:sub(1, last) .. ',' .. lead .. member .. text:sub(last + 1)
end

--- Sets a member. A new one becomes the last of its object; an object on the way to it is made when it is missing.
--- Raises an error when something else than an object is on the way.
---@param text string a JSON object
---@param path string names joined by dots
---@param value string JSON text
---@return string text
function M.set(text, path, value)
  local _, first, last = find(text, path)
  if first then return text:sub(1, first - 1) .. value .. text:sub(last + 1) end
  local parent, name = path:match '^(.*)%.([^.]+)$'
  local depth = select(2, path:gsub('%.', '')) + 1
  if not parent then return add(text, text:find('{', 1, true), last_before(text, #text + 1), path, value, depth) end
  if not find(text, parent) then text = M.set(text, parent, '{}') end
  local _, open, close = find(text, parent)
  assert(text:sub(open, open) == '{', parent .. ' is not an object')
  return add(text, open, close, name, value, depth)
end

--- Removes a member with one comma.
---@param text string a JSON object
---@param path string names joined by dots
---@return string text the same when there is no such member
function M.remove(text, path)
  local key, _, last = find(text, path)
  if not key then return text end
  local before = last_before(text, key)
  if text:sub(before, before) == ',' then return text:sub(1, before - 1) .. text:sub(last + 1) end
  local following = text:match('^%s*,%s*()', last + 1)
  if following then return text:sub(1, key - 1) .. text:sub(following) end
  return text:sub(1, before) .. text:sub(text:match('^%s*()', last + 1))
end

return M
