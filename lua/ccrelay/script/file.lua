-- SPDX-License-Identifier: Apache-2.0
-- Runs the files of policies and adapters, and checks what they return. Whatever goes wrong becomes a fault with
-- file and line.
local call = require 'ccrelay.script.call'
local each = require 'ccrelay.util.each'
local fault = require 'ccrelay.util.fault'
local deep_copy = require 'ccrelay.script.deep_copy'
local sandbox = require 'ccrelay.script.sandbox'

local M = {}

-- Lua shortens long chunk names, and a deadline may expire in a line of the library.
local function is_of(place, file)
  return place == file or string.sub(place, 1, 3) == '...' and string.sub(file, 3 - #place) == string.sub(place, 4)
end

--- Makes the fault of a file.
---@param file string
---@param message string with the line, if Lua reports it
---@return ccrelay.Fault
function M.failed(file, message)
  local place, line, rest = string.match(message, '^([^\n]-):(%d+): (.*)$')
  local known = place and is_of(place, file)
  return fault.new { file = file, line = known and tonumber(line) or nil, path = '', message = rest or message }
end

local function traceback(message)
  return type(message) == 'string' and message or 'an error that is a ' .. type(message)
end

-- A deadline that expires just as the script ends may raise its error after the script, so the call is protected here.
local function protected(script, ...)
  local whole, ok, result, message = call.pcall(call.xpcall, script, traceback, ...)
  if whole then return ok, result, message end
  return false, traceback(ok)
end

local tell = function() end

--- Sets a function that is called with the name of each file before its code runs.
---@param told fun(file: string)
function M.on_load(told)
  tell = told
end

--- Calls a function that runs code of a file.
---@param file string
---@param script function
---@param ... any its arguments
---@return boolean ok
---@return any result or the error
---@return any more
function M.call(file, script, ...)
  tell(file)
  return protected(script, ...)
end

--- Runs the text of a file.
---@param text string
---@param file string its name
---@param environment table
---@return any result
---@return ccrelay.Fault? wrong
function M.run(text, file, environment)
  tell(file)
  local chunk, message = sandbox.compile(text, file, environment)
  if not chunk then return nil, M.failed(file, message) end
  local ok, result = protected(call.policy, chunk)
  if not ok then return nil, M.failed(file, result) end
  return result
end

--- Copies the value that a file returned, without metatables.
---@param file string
---@param what string for messages
---@param value any
---@return any copy
---@return ccrelay.Fault? wrong
function M.plain_copy(file, what, value)
  local result, message = deep_copy.copy(value, what)
  if message then return nil, M.failed(file, message) end
  return result
end

--- Checks the members of a table.
---@param file string
---@param what string for messages
---@param value table
---@param allowed table<string, string> kinds by name: "string|function"
---@return ccrelay.Fault? wrong
function M.check_members(file, what, value, allowed)
  for name, member in each(value) do
    local kinds = allowed[name]
    if not kinds then
      return M.failed(file, what .. ' has no "' .. tostring(name) .. '"; it may have ' .. sandbox.names(allowed))
    end
    if not string.find('|' .. kinds .. '|', '|' .. type(member) .. '|', 1, true) then
      return M.failed(file, '"' .. name .. '" of ' .. what .. ' is a ' .. type(member) .. ', expected a ' .. kinds)
    end
  end
  return nil
end

return M
