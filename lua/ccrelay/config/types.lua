-- SPDX-License-Identifier: Apache-2.0
-- Converts the text of a scalar to the type of the schema, or says what was expected. YAML 1.1 and 1.2 read some plain
-- scalars differently; those are accepted where the schema wants text, and refused elsewhere.
local C = require 'ccrelay.c'
local lists = require 'ccrelay.util.lists'
local date = require 'ccrelay.util.date'
local address = require 'ccrelay.net.address'
local fault = require 'ccrelay.util.fault'

local M = {}

local LARGEST = 2147483647
local LONGEST_NAME = 40
local LONGEST_TEXT = 65536

---@alias ccrelay.Reader fun(text: string, node: ccrelay.Node, row: table, expanded: boolean): any, string?, string?

local function is_text(node)
  return node.type == 'string' or node.type == 'date' or node.plain and node.type ~= 'null'
end

local function among(row)
  return row.also and fault.either(row.also) .. ' or ' or ''
end

local function integer_range(row)
  local from, to = row.min or 0, row.max or LARGEST
  return ('%sa whole number from %d to %d'):format(among(row), from, to), from, to
end

M.readers = {}

---@type ccrelay.Reader
function M.readers.integer(text, node, row, expanded)
  local expected, from, to = integer_range(row)
  if node.type ~= 'integer' and not expanded then
    if node.plain and text:find '^[-+]?%d[%d_:]+$' then expected = expected .. ' in plain decimal digits' end
    return nil, expected
  end
  local sign, digits = text:match '^([-+]?)(%d+)$'
  if not digits or digits:find '^0%d' then
    return nil, expected .. ' in plain decimal digits, without a leading zero or prefix'
  end
  local value = #digits <= 15 and tonumber(digits)
  if value and sign == '-' and value > 0 then value = -value end
  if not value or value < from or value > to then return nil, expected end
  return value
end

local function number_range(row)
  local from, to = row.min or 0, row.max or LARGEST
  return ('%sa number from %d to %d, in plain decimal digits'):format(among(row), from, to), from, to
end

---@type ccrelay.Reader
function M.readers.number(text, node, row, expanded)
  local expected, from, to = number_range(row)
  if node.type ~= 'integer' and node.type ~= 'float' and not expanded then return nil, expected end
  local plain = text:find '^%d+$' or text:find '^%d+%.%d+$'
  if not plain or text:find '^0%d' or #text > 20 then return nil, expected end
  local value = tonumber(text)
  if value < from or value > to then return nil, expected end
  return value
end

local yaml_booleans = { yes = true, no = true, on = true, off = true, y = true, n = true }

---@type ccrelay.Reader
function M.readers.boolean(text, node, row, expanded)
  local word = text:lower()
  if (node.type == 'boolean' or expanded) and (word == 'true' or word == 'false') then return word == 'true' end
  local expected = (row.also and table.concat(row.also, ', ') .. ', ' or '') .. 'true or false'
  if yaml_booleans[word] then expected = expected .. '; YAML parsers disagree about ' .. text end
  return nil, expected
end

---@type ccrelay.Reader
function M.readers.string(text, node, row)
  if not is_text(node) then return nil, 'a string' .. (node.plain and '' or ' in quotes') end
  if row.filled and text == '' then return nil, 'a string that is not empty' end
  if #text > LONGEST_TEXT then return nil, ('a string of at most %d bytes'):format(LONGEST_TEXT) end
  if text:find '[%z\1-\31\127]' then return nil, 'a string without control characters and line breaks' end
  if row.secret and text:find(row.spaced and '[^\32-\126]' or '[^\33-\126]') then
    return nil, 'visible ASCII characters' .. (row.spaced and '' or ' without spaces')
  end
  return text
end

---@type ccrelay.Reader
function M.readers.name(text, node, row)
  local value, expected = M.readers.string(text, node, row)
  if not value then return nil, expected end
  if #text > LONGEST_NAME or not text:find '^[%w_][%w_.@:+-]*$' then
    return nil, ('a name: up to %d letters, digits, and _ . @ : + -'):format(LONGEST_NAME)
  end
  return text
end

---@type ccrelay.Reader
function M.readers.digest(text, node)
  if is_text(node) and #text == 64 and text:find '^[0-9a-f]+$' then return text end
  return nil, 'a SHA-256 digest: 64 hex digits in lower case'
end

---@type ccrelay.Reader
function M.readers.time(text, node)
  if is_text(node) and date.end_of(text) then return text end
  return nil, 'a date, such as 2027-01-31, or a time, such as 2027-01-31T12:00:00Z'
end

---@type ccrelay.Reader
function M.readers.path(text, node)
  return M.readers.string(text, node, { filled = true })
end

---@type ccrelay.Reader
function M.readers.choice(text, node, row)
  local expected = fault.either(row.of)
  if not is_text(node) then return nil, expected end
  for _, word in ipairs(row.of) do
    if word == text then return text end
  end
  return nil, expected, fault.nearest(text, row.of)
end

---@type ccrelay.Reader
function M.readers.listen(text, node, row)
  local found = is_text(node) and address.listen(text)
  if found and (row.proxied or not found.proxied) then return text end
  return nil, among(row) .. 'host:port with an IP address or localhost, [v6]:port, or unix:/path'
    .. (row.proxied and '; proxy_protocol may follow' or '')
end

---@type ccrelay.Reader
function M.readers.range(text, node, row)
  if is_text(node) and C.cc_is_range(text) then return text end
  return nil, among(row) .. 'an IP address, or a range such as 10.0.0.0/8'
end

---@type ccrelay.Reader
function M.readers.date(text, node)
  if is_text(node) and #text == 10 and date.rfc3339(text .. 'T00:00:00Z') then return text end
  return nil, 'a date: YYYY-MM-DD'
end

---@type ccrelay.Reader
function M.readers.url(text, node)
  local url = is_text(node) and address.url(text)
  if not url then return nil, 'http:// or https://, a host, and at most a port and a path' end
  return (text:gsub('/+$', ''))
end

--- Tells whether the schema allows a text in addition to the type's own values.
---@param text string
---@param node ccrelay.Node
---@param row table
---@return boolean
function M.beside(text, node, row)
  return row.also ~= nil and is_text(node) and lists.contains(row.also, text)
end

--- Describes in words what a row accepts, for an error about a value of another kind.
---@param row table
---@return string
function M.expected(row)
  if row.type == 'section' or row.type == 'provider' or row.type == 'map' then return 'a mapping' end
  if row.type == 'list' then return 'a list' end
  local node = { kind = 'scalar', type = 'null' }
  local _, expected = M.readers[row.type]('', node, row, false)
  return expected
end

return M
