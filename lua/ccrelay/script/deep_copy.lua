-- SPDX-License-Identifier: Apache-2.0
-- Tables of scripts as plain ones: a script's own may run its code whenever they are looked at.
local each = require 'ccrelay.util.each'

local M = {}

local DEEPEST = 32
local MOST = 65536

local copy

local function copy_table(value, path, state)
  if debug.getmetatable(value) ~= nil then error({ path .. ' has a metatable' }, 0) end
  if state.depth == DEEPEST then error({ path .. ' is nested deeper than ' .. DEEPEST .. ' levels' }, 0) end
  state.depth = state.depth + 1
  local result = {}
  for name, member in each(value) do
    local kind = type(name)
    if kind == 'table' or kind == 'function' or kind == 'userdata' or kind == 'thread' then
      error({ path .. ' has a key that is a ' .. kind }, 0)
    end
    state.count = state.count + 1
    if state.count > MOST then error({ path .. ' has too many members' }, 0) end
    result[name] = copy(member, path .. '.' .. tostring(name), state)
  end
  state.depth = state.depth - 1
  return result
end

function copy(value, path, state)
  return type(value) == 'table' and copy_table(value, path, state) or value
end

--- A copy without metatables, sharing no table with the value; or nil and what stands against it.
---@param value any
---@param what string its name in the message
---@return any copy
---@return string? message
function M.copy(value, what)
  local ok, result = pcall(copy, value, what, { depth = 0, count = 0 })
  if ok then return result end
  return nil, type(result) == 'table' and result[1] or tostring(result)
end

return M
