-- SPDX-License-Identifier: Apache-2.0
-- Parses TOML into a document tree, with cc_toml.
local each = require 'ccrelay.util.each'
local ffi = require 'ffi'
local json = require 'cjson'
local C = require 'ccrelay.c'
local document = require 'ccrelay.config.document'

local M = {}

local function sorted_names(members)
  local names = {}
  for name in each(members) do names[#names + 1] = name end
  table.sort(names, function(a, b)
    local x, y = members[a].line, members[b].line
    if x ~= y then return x < y end
    return a < b
  end)
  return names
end

local function node(value)
  local line = value.line > 0 and value.line or nil
  if value.list then
    local list = document.list(line)
    for i, item in ipairs(value.list) do list.items[i] = node(item) end
    return list
  end
  if value.table then
    local map = document.map(line)
    for _, name in ipairs(sorted_names(value.table)) do
      local member = node(value.table[name])
      document.put(map, name, member, member.line)
    end
    return map
  end
  return document.scalar(value.type, value.text, line)
end

--- Parses TOML 1.0.
---@param text string
---@return ccrelay.Node? document, {line: integer?, message: string}? fault
function M.parse(text)
  local out, size, line = ffi.new 'char *[1]', ffi.new 'uint32_t[1]', ffi.new 'uint32_t[1]'
  local status = C.cc_toml(text, #text, out, size, line)
  local result = ffi.string(out[0], size[0])
  C.cc_free(out[0])
  if status ~= C.CC_OK then
    local what = status == C.CC_ELIMIT and 'found ' or 'invalid TOML: '
    return nil, { line = line[0] > 0 and line[0] or nil, message = what .. result }
  end
  local root = node(json.decode(result))
  if #root.names == 0 then return nil, { message = 'the file is empty' } end
  return root
end

return M
