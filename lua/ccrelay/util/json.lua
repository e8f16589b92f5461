-- SPDX-License-Identifier: Apache-2.0
-- Encodes and decodes JSON of the relay's own: errors, lists, log lines, settings. Bodies of requests that are relayed
-- never pass through it; C scans and edits those.
local cjson = require 'cjson'
local each = require 'ccrelay.util.each'

---@class ccrelay.Json
---@field null lightuserdata JSON's null, in decode and encode
local M = {}

local ESCAPES = { ['"'] = '\\"', ['\\'] = '\\\\', ['\n'] = '\\n', ['\r'] = '\\r', ['\t'] = '\\t' }
local ARRAY = { __metatable = false }

local function escape(character)
  return ESCAPES[character] or string.format('\\u%04x', string.byte(character))
end

-- The bounds of the byte behind these leading bytes; of all others they are 0x80 and 0xBF (RFC 3629, section 4).
local LOWEST = { [0xE0] = 0xA0, [0xF0] = 0x90 }
local HIGHEST = { [0xED] = 0x9F, [0xF4] = 0x8F }

-- The last byte of the character that begins with lead, or nil when it is not valid UTF-8.
local function sequence_end(text, index, lead)
  local extra = lead >= 0xF0 and 3 or lead >= 0xE0 and 2 or 1
  local low, high = LOWEST[lead] or 0x80, HIGHEST[lead] or 0xBF
  for offset = 1, extra do
    local byte = string.byte(text, index + offset)
    if not byte or byte < low or byte > high then return nil end
    low, high = 0x80, 0xBF
  end
  return index + extra
end

--- Replaces bytes that are not valid UTF-8 by U+FFFD.
---@package
---@param text string
---@return string
function M.clean(text)
  if not string.find(text, '[\128-\255]') then return text end
  local out, index, size = {}, 1, #text
  while index <= size do
    local lead = string.byte(text, index)
    local last = lead < 0x80 and index or (lead >= 0xC2 and lead <= 0xF4) and sequence_end(text, index, lead) or nil
    out[#out + 1] = last and string.sub(text, index, last) or '\239\191\189'
    index = (last or index) + 1
  end
  return table.concat(out)
end

-- Characters that control a terminal (U+0080 to U+009F), set the direction of text or are invisible: U+061C,
-- U+200B to U+200F, U+2028 to U+202E, U+2060 to U+206F, U+FEFF (Unicode Standard Annex 9, section 2).
local LEADS = '[\194\216\226\239]'
local UNSEEN = { '\194[\128-\159]', '\216\156', '\226\128[\139-\143\168-\174]', '\226\129[\160-\175]', '\239\187\191' }

local function escape_rune(bytes)
  local first, second, third = string.byte(bytes, 1, 3)
  local code = third and (first - 224) * 4096 + (second - 128) * 64 + third - 128 or (first - 192) * 64 + second - 128
  return string.format('\\u%04x', code)
end

--- Writes characters that control a terminal or the direction of text as \uXXXX (RFC 8259, section 7).
---@package
---@param text string UTF-8; JSON text stays valid JSON
---@return string
function M.visible(text)
  if not string.find(text, LEADS) then return text end
  for _, pattern in ipairs(UNSEEN) do text = string.gsub(text, pattern, escape_rune) end
  return text
end

--- Makes text fit for one line of a log or a terminal: control characters become blanks.
---@package
---@param text string
---@return string
function M.plain(text)
  return M.visible((string.gsub(M.clean(text), '[%c\127]', ' ')))
end

--- Encodes text as a JSON string, with its quotes. It has no character that controls a terminal.
---@package
---@param text string
---@return string
function M.quote(text)
  return '"' .. M.visible((string.gsub(M.clean(text), '[%c"\\\127]', escape))) .. '"'
end

--- Marks a table as an array, so that it is encoded as [] when it is empty.
---@param list table
---@return table
function M.array(list)
  if debug.getmetatable(list) == ARRAY then return list end
  return setmetatable(list, ARRAY)
end

local MOST_OF_SCRIPT = 100000

local encode
local count = 0 -- of values that the running encode may still write; a table that is shared counts each time

local function encode_array(list, depth)
  local out = {}
  for index = 1, #list do out[index] = encode(rawget(list, index), depth) end
  return '[' .. table.concat(out, ',') .. ']'
end

local function encode_object(object, depth)
  local keys, values = {}, {}
  for key, value in each(object) do
    local kind = type(key)
    if kind ~= 'string' and kind ~= 'number' then error('a key of type ' .. kind .. ' has no JSON form', 0) end
    key = tostring(key)
    keys[#keys + 1], values[key] = key, value
  end
  table.sort(keys)
  for index, key in ipairs(keys) do keys[index] = M.quote(key) .. ':' .. encode(values[key], depth) end
  return '{' .. table.concat(keys, ',') .. '}'
end

local function encode_number(value)
  if value ~= value or math.abs(value) == math.huge then error('NaN and infinities have no JSON form', 0) end
  return value % 1 == 0 and math.abs(value) < 2 ^ 53 and string.format('%d', value) or string.format('%.14g', value)
end

function encode(value, depth)
  local kind = type(value)
  count = count - 1
  if count < 0 then error('more than ' .. MOST_OF_SCRIPT .. ' values for JSON', 0) end
  if kind == 'string' then return M.quote(value) end
  if kind == 'boolean' then return tostring(value) end
  if kind == 'number' then return encode_number(value) end
  if value == nil or value == cjson.null then return 'null' end
  if kind ~= 'table' then error('a value of type ' .. kind .. ' has no JSON form', 0) end
  if depth > 100 then error('tables are nested too deeply for JSON: more than 100', 0) end
  if debug.getmetatable(value) == ARRAY or #value > 0 then return encode_array(value, depth + 1) end
  return encode_object(value, depth + 1)
end

--- Encodes a value as JSON text, with the keys of objects in alphabetical order. Raises an error for a value that has
--- no JSON form or is nested deeper than 100 tables.
---@param value any
---@return string
function M.encode(value)
  count = math.huge
  return encode(value, 0)
end

--- Encodes a value of a script; raises an error for more than 100000 values. The watchdog of scripts cannot stop
--- compiled code such as this, so the size is bounded.
---@package
---@param value any
---@return string
function M.encode_for_script(value)
  count = MOST_OF_SCRIPT
  return encode(value, 0)
end

--- Decodes JSON text; returns nil if it is not valid JSON. Inside tables, JSON's null becomes json.null.
---@param text string
---@return any
function M.decode(text)
  local ok, value = pcall(cjson.decode, text)
  if ok and value ~= cjson.null then return value end
  return nil
end

M.null = cjson.null

--- Makes the table that scripts get as require 'ccrelay.json'.
---@package
---@return ccrelay.Json
function M.for_scripts()
  return { encode = M.encode_for_script, decode = M.decode, array = M.array, null = M.null }
end

return M
