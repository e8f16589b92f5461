-- SPDX-License-Identifier: Apache-2.0
-- Reads members of a credentials file.
local json = require 'ccrelay.util.json'

local M = {}

--- Returns a member that is a non-empty string, or nil.
---@param info table
---@param name string
---@return string?
function M.text(info, name)
  local value = info[name]
  return type(value) == 'string' and value ~= '' and value or nil
end

--- Returns a member; nil if it is absent or null.
---@param info table
---@param name string
---@return any
function M.any(info, name)
  local value = info[name]
  if value == json.null then return nil end
  return value
end

--- Tells which of these members is not a non-empty string; nil if all are.
---@param info table
---@param names string[]
---@return string?
function M.lack(info, names)
  for _, name in ipairs(names) do
    if not M.text(info, name) then return name .. ' is missing, empty or not a string' end
  end
  return nil
end

--- Returns the values of these members that are strings, as the list of secrets to remove from messages.
---@param info table
---@param names string[]
---@return string[]
function M.secrets(info, names)
  local list = {}
  for _, name in ipairs(names) do list[#list + 1] = M.text(info, name) end
  return list
end

return M
