-- SPDX-License-Identifier: Apache-2.0
-- Makes errors for names that do not exist, with the nearest name that does. So a misspelt name is an error at the line
-- where it is written.
local each = require 'ccrelay.util.each'
local lists = require 'ccrelay.util.lists'
local fault = require 'ccrelay.util.fault'

local M = {}

local FEW = 8

--- Returns the end of a message about a name that does not exist: the nearest name that does, or all if they are few.
---@param name any
---@param known table<string, any> by the names that exist
---@return string
function M.suggestion(name, known)
  local list = lists.names(known)
  local near = fault.nearest(tostring(name), list)
  if near then return ('; did you mean "%s"?'):format(near) end
  return #list > 0 and #list <= FEW and '; expected ' .. fault.either(list) or ''
end

--- Returns the message about a name that something does not have.
---@param what string "an outcome"
---@param name any
---@param known table<string, any> by the names that it has
---@return string
function M.unknown(what, name, known)
  return ('%s has no "%s"%s'):format(what, fault.printable(tostring(name)), M.suggestion(name, known))
end

--- Tells whether a value that a script gave is a time in milliseconds, from 0 to 2^31.
---@param value any
---@return boolean
function M.is_milliseconds(value)
  return type(value) == 'number' and value >= 0 and value < 2 ^ 31
end

-- Returns the place in the script that called the library: the innermost function with an environment of its own.
local function place()
  for level = 3, math.huge do
    local info = debug.getinfo(level, 'fSl')
    if not info then return '' end
    if info.currentline > 0 and debug.getfenv(info.func) ~= _G then
      return ('%s:%d: '):format(info.short_src, info.currentline)
    end
  end
end

--- Raises an error at the line of the script that called the library, however deep this is within it.
---@param message string
function M.raise(message)
  error(place() .. message, 0)
end

--- Raises an error at the line of the script if its table has an unknown name.
---@param what string "what exchange:race takes"
---@param given any nil is fine, anything but a table is not
---@param known table<string, any> by the names it may have
function M.check(what, given, known)
  if given == nil then return end
  if type(given) ~= 'table' then M.raise(('%s: found a %s, expected a table'):format(what, type(given))) end
  for name in each(given) do
    if known[name] == nil then M.raise(M.unknown(what, name, known)) end
  end
end

return M
