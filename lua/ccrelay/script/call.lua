-- SPDX-License-Identifier: Apache-2.0
-- Calls script code from the library and library code from scripts. It guarantees that the watchdog's clock and
-- the bounded string methods apply while a script runs, and only then. Nothing else changes the state of the sandbox.
local sandbox = require 'ccrelay.script.sandbox'

local M = {}

local function leave(...)
  sandbox.leave()
  return ...
end

--- Calls a function of a policy. Errors propagate: see M.pcall.
---@param script function
---@param ... any its arguments
---@return any ... what it returns
function M.policy(script, ...)
  sandbox.enter()
  return leave(script(...))
end

--- Calls a function of an adapter, which has the unbounded string methods. Errors propagate: see M.pcall.
---@param script function
---@param ... any its arguments
---@return any ... what it returns
function M.adapter(script, ...)
  sandbox.enter(true)
  return leave(script(...))
end

--- Is pcall for library code that may call scripts: after an error the library's state is restored.
---@param work function
---@param ... any its arguments
---@return boolean ok
---@return any ... results, or the error
function M.pcall(work, ...)
  return leave(pcall(work, ...))
end

--- Is xpcall for library code that may call scripts, like M.pcall.
---@param work function
---@param handler fun(message: any): any
---@param ... any arguments of work
---@return boolean ok
---@return any ... results, or what the handler returned
function M.xpcall(work, handler, ...)
  return leave(xpcall(work, handler, ...))
end

--- Is coroutine.resume for a coroutine that may run scripts, like M.pcall.
---@param thread thread
---@param ... any
---@return boolean ok
---@return any ... what it yields or returns, or the error
function M.resume(thread, ...)
  return leave(coroutine.resume(thread, ...))
end

local function back(adapter, ...)
  sandbox.resume(adapter)
  return ...
end

--- Wraps a library function that scripts call: while it runs, hardly any time counts for the watchdog.
---@param inner function
---@return function
function M.library(inner)
  return function(...)
    local adapter = sandbox.wide
    sandbox.call()
    return back(adapter, inner(...))
  end
end

--- Whether the script that ran last is an adapter.
---@return boolean
function M.was_adapter()
  return sandbox.wide
end

return M
