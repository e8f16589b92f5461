-- SPDX-License-Identifier: Apache-2.0
-- The document tree into which every format is parsed: values with their line numbers, uninterpreted where only the
-- schema can decide.
local each = require 'ccrelay.util.each'
local fault = require 'ccrelay.util.fault'

local M = {}

---@class ccrelay.Node
---@field kind 'map'|'list'|'scalar'
---@field line integer?
---@field names string[]? of a map: its keys, in order
---@field values table<string, ccrelay.Node>? of a map
---@field lines table<string, integer>? of a map: line of each key
---@field items ccrelay.Node[]? of a list
---@field type 'string'|'integer'|'float'|'boolean'|'null'|'date'? of a scalar
---@field text string? of a scalar: as written
---@field plain boolean? of a scalar: written without quotes in YAML, so that only its text counts

M.MOST_VALUES = 65536
M.MOST_MEMBERS = 16384
M.DEEPEST = 32

function M.map(line)
  return { kind = 'map', line = line, names = {}, values = {}, lines = {} }
end

function M.list(line)
  return { kind = 'list', line = line, items = {} }
end

function M.scalar(type, text, line)
  return { kind = 'scalar', type = type, text = text, line = line }
end

--- Adds a name to a map. Returns false if the map has it already.
function M.put(map, name, node, line)
  if map.values[name] then return false end
  map.names[#map.names + 1] = name
  map.values[name], map.lines[name] = node, line
  return true
end

--- Removes a name from a map and returns its value.
function M.take(map, name)
  local node = map.values[name]
  map.values[name], map.lines[name] = nil, nil
  for i, other in ipairs(map.names) do
    if other == name then
      table.remove(map.names, i)
      break
    end
  end
  return node
end

local function refuse(path, message)
  error({ path = path, message = message }, 0)
end

local from

local function from_number(value)
  local whole = value % 1 == 0 and math.abs(value) < 2 ^ 53
  return M.scalar(whole and 'integer' or 'float', whole and ('%d'):format(value) or tostring(value))
end

local function from_list(value, depth, path)
  local list = M.list()
  for i, item in ipairs(value) do list.items[i] = from(item, depth + 1, ('%s[%d]'):format(path, i - 1)) end
  return list
end

local function from_map(value, depth, path)
  local map, names = M.map(), {}
  for name in each(value) do names[#names + 1] = tostring(name) end
  table.sort(names)
  for _, name in ipairs(names) do
    M.put(map, name, from(value[name], depth + 1, path == '' and name or path .. '.' .. name))
  end
  return map
end

function from(value, depth, path)
  local kind = type(value)
  if depth > M.DEEPEST then refuse(path, 'a table is nested too deeply') end
  if kind == 'string' or kind == 'boolean' then return M.scalar(kind, tostring(value)) end
  if kind == 'number' then return from_number(value) end
  if kind ~= 'table' then refuse(path, 'a ' .. kind .. ' cannot be configuration') end
  return #value > 0 and from_list(value, depth, path) or from_map(value, depth, path)
end

--- Makes the tree of plain Lua tables, for a configuration from a script. An empty table is a map.
---@param value table
---@return ccrelay.Node? document
---@return string? message
---@return string? path where in the value
function M.from(value)
  local ok, result = pcall(from, value, 1, '')
  if ok then return result end
  if type(result) ~= 'table' then return nil, result, '' end
  return nil, result.message, result.path
end

local articles = {
  integer = 'the number ', float = 'the number ', boolean = '', date = 'the date ', string = 'the string ',
}

--- Describes a node in words. For a secret only its size is given.
---@param node ccrelay.Node
---@param secret boolean?
---@return string
function M.describe(node, secret)
  if node.kind == 'map' then return #node.names == 0 and 'an empty mapping' or 'a mapping' end
  if node.kind == 'list' then return #node.items == 0 and 'an empty list' or 'a list' end
  if node.type == 'null' then return 'nothing' end
  if node.type == 'string' and node.text == '' then return 'an empty string' end
  if secret then return ('a string of %d characters (not shown)'):format(#node.text) end
  local text = fault.printable(node.text)
  if node.type == 'string' then text = '"' .. text .. '"' end
  return articles[node.type] .. text
end

return M
