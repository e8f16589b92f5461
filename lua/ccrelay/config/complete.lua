-- SPDX-License-Identifier: Apache-2.0
-- Adds to the schema the keys that adapters declare for providers of their type, for documentation and editors.
local each = require 'ccrelay.util.each'
local schema = require 'ccrelay.config.schema'
local types = require 'ccrelay.config.types'

local M = {}

local function with(row, changes)
  local copy = {}
  for name, value in each(row) do copy[name] = value end
  for name, value in each(changes) do copy[name] = value end
  return copy
end

-- Merges a key that several adapters declare: it is secret if it is so in one of them, and of any type if the types
-- differ.
local function add(rows, places, kind, field)
  local name = field[1]
  local place, form = places[name], field.type or field[2]
  if not place then
    places[name] = #rows + 1
    rows[#rows + 1] = with(field, { type = form, only = { kind }, doc = field.doc or 'of the adapter' })
    return
  end
  local before = rows[place]
  if not before.only then return end
  local only = { unpack(before.only) }
  only[#only + 1] = kind
  local same = before.type == form and form ~= 'choice'
  rows[place] = with(before, { type = same and form or 'any', only = only, secret = before.secret or field.secret })
end

local function is_row(field)
  return type(field) == 'table' and type(field[1]) == 'string' and types.readers[field.type or field[2]] ~= nil
end

local function provider_rows(fields, adapters)
  local rows, places, kinds = { unpack(fields) }, {}, {}
  for place, row in ipairs(fields) do places[row[1]] = place end
  for kind in each(adapters) do kinds[#kinds + 1] = kind end
  table.sort(kinds)
  for _, kind in ipairs(kinds) do
    for _, field in ipairs(adapters[kind].schema or {}) do
      if is_row(field) then add(rows, places, kind, field) end
    end
  end
  return rows
end

--- Returns the root row, with the keys that these adapters add to providers.
---@param adapters table<string, table>? by type
---@return table
function M.schema(adapters)
  local fields = { unpack(schema.fields) }
  for place, row in ipairs(fields) do
    if row[1] == 'providers' then
      local item = with(row.item, { fields = provider_rows(row.item.fields, adapters or {}) })
      fields[place] = with(row, { item = item })
    end
  end
  return with(schema, { fields = fields })
end

return M
