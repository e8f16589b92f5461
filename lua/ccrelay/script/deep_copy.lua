-- SPDX-License-Identifier: Apache-2.0
-- Copies tables without their metatables. It guarantees that the copy shares no table with the value and that copying
-- runs no code of the script that made it, is bounded in depth and size, and ends on a table that contains itself.
local each = require 'ccrelay.util.each'

local M = {}

---@class ccrelay.CopyRules
---@field deepest integer levels of tables
---@field most integer members of all tables; those of a table that is shared count each time
---@field plain boolean whether metatables, and keys that are tables or functions, are errors

local STRICT = { deepest = 32, most = 65536, plain = true }
local LENIENT = { deepest = 100, most = 100000, plain = false }

local NO_KEYS = { table = true, ['function'] = true, userdata = true, thread = true }

local copy
local count = 0 -- members copied so far

local function check_table(value, path, rules, depth)
  if rules.plain and debug.getmetatable(value) ~= nil then error({ path .. ' has a metatable' }, 0) end
  if depth == rules.deepest then error({ path .. ' is nested deeper than ' .. rules.deepest .. ' levels' }, 0) end
end

local function check_member(name, path, rules)
  if rules.plain and NO_KEYS[type(name)] then error({ path .. ' has a key that is a ' .. type(name) }, 0) end
  count = count + 1
  if count > rules.most then error({ path .. ' has too many members' }, 0) end
end

function copy(value, path, rules, depth)
  if type(value) ~= 'table' then return value end
  check_table(value, path, rules, depth)
  local result = {}
  for name, member in each(value) do
    check_member(name, path, rules)
    result[name] = copy(member, rules.plain and path .. '.' .. tostring(name) or path, rules, depth + 1)
  end
  return result
end

local function run(value, what, rules)
  count = 0
  local ok, result = pcall(copy, value, what, rules, 0)
  if ok then return result end
  return nil, type(result) == 'table' and result[1] or tostring(result)
end

--- Copies a value that must be plain: without metatables, and without tables or functions as keys. A value that is not
--- a table is returned unchanged.
---@param value any
---@param what string its name in the message
---@return any copy
---@return string? message what is wrong with it, with its path
function M.copy(value, what)
  return run(value, what, STRICT)
end

--- Copies a value and drops the metatables of its tables. Raises an error for a value that is nested deeper than 100
--- levels or has more than 100000 members.
---@param value any
---@return any
function M.plain(value)
  local result, message = run(value, 'a table', LENIENT)
  if message then error(message, 0) end
  return result
end

return M
