-- SPDX-License-Identifier: Apache-2.0
-- Helpers for lists of names.
local each = require 'ccrelay.util.each'

local M = {}

--- Returns the names in a table, in alphabetical order.
---@param entries table<string, any> by name
---@return string[]
function M.names(entries)
  local names = {}
  for name in each(entries) do names[#names + 1] = name end
  table.sort(names)
  return names
end

--- Whether a list contains a value.
---@param list any[]
---@param value any
---@return boolean
function M.contains(list, value)
  for _, item in ipairs(list) do
    if item == value then return true end
  end
  return false
end

return M
