-- SPDX-License-Identifier: Apache-2.0
-- Members of a credentials file.
local json = require 'ccrelay.util.json'

local M = {}

--- A member that is a text with something in it, or nil.
---@param info table
---@param name string
---@return string?
function M.text(info, name)
  local value = info[name]
  return type(value) == 'string' and value ~= '' and value or nil
end

--- A member, or nil when it is absent or null.
---@param info table
---@param name string
---@return any
function M.any(info, name)
  local value = info[name]
  if value == json.null then return nil end
  return value
end

--- What is wrong with the first of these members that is no text, or nil.
---@param info table
---@param names string[]
---@return string?
function M.lack(info, names)
  for _, name in ipairs(names) do
    if not M.text(info, name) then return name .. ' is missing, empty or no text' end
  end
  return nil
end

--- The values of those members that are texts: the secrets among them must not show in messages.
---@param info table
---@param names string[]
---@return string[]
function M.secrets(info, names)
  local list = {}
  for _, name in ipairs(names) do list[#list + 1] = M.text(info, name) end
  return list
end

return M
