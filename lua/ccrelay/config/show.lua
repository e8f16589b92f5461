-- SPDX-License-Identifier: Apache-2.0
-- Makes a copy of a configuration for display, with every secret masked, and finds the changes that need a restart.
local complete = require 'ccrelay.config.complete'
local each = require 'ccrelay.util.each'
local json = require 'ccrelay.util.json'
local schema = require 'ccrelay.config.schema'

local M = {}

local MASK = '***'

local show

local function list(value, row)
  local result = {}
  for i, item in ipairs(value) do result[i] = show(item, row.item) end
  return json.array(result)
end

local function map(value, row)
  local result = {}
  for name, item in each(value) do result[name] = show(item, row.item) end
  return result
end

local function section(value, rows)
  local result = {}
  for _, row in ipairs(rows) do
    if value[row[1]] ~= nil then result[row[1]] = show(value[row[1]], row) end
  end
  return result
end

function show(value, row)
  if row.type == 'list' then return list(value, row) end
  if row.type == 'map' then return map(value, row) end
  if row.fields then return section(value, row.fields) end
  if row.secret and value ~= '' then return MASK end
  return value
end

--- Returns a copy for display: secrets are masked, and empty lists are marked, so that they are encoded as lists.
---@param configuration table
---@param adapters table<string, table>? by type, for the keys they declare
---@return table
function M.effective(configuration, adapters)
  return show(configuration, complete.schema(adapters))
end

local function same(a, b)
  if type(a) ~= 'table' or type(b) ~= 'table' then return a == b end
  for k, v in each(a) do
    if not same(v, b[k]) then return false end
  end
  for k in each(b) do
    if a[k] == nil then return false end
  end
  return true
end

local function restarts(old, new, rows, path, out)
  for _, row in ipairs(rows) do
    local name = row[1]
    local a, b = old and old[name], new and new[name]
    if row.reload == 'restart' then
      if not same(a, b) then out[#out + 1] = path .. name end
    elseif row.fields then
      restarts(a, b, row.fields, path .. name .. '.', out)
    end
  end
  return out
end

--- Returns the paths of changes that take effect only after a restart.
---@param old table
---@param new table
---@return string[]
function M.restarts(old, new)
  return restarts(old, new, schema.fields, '', {})
end

return M
