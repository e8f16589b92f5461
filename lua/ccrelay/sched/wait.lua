-- SPDX-License-Identifier: Apache-2.0
-- Suspends the coroutine of an exchange until an event, and resumes it. It guarantees that a coroutine is resumed
-- only with an event that it waits for.
local C = require 'ccrelay.c'
local bit = require 'bit'
local call = require 'ccrelay.script.call'

---@class ccrelay.Wait exchange.wait, written here only
---@field thread thread|false the coroutine; false before it begins and after it has ended
---@field kinds integer|false what it waits for; false: nothing
---@field missed { [1]: integer, [2]: integer }[]|false events that came while it waited for others

local M = {}

-- What a coroutine waits for; several may be added up.
M.OUTCOME, M.TIMER, M.WRITABLE, M.BODY, M.SECRET, M.SHARED = 1, 2, 4, 8, 16, 32

-- Exchanges that something of the relay's own has news for, with the kind; the loop goes through it.
M.posted = {}

--- Gives an exchange its coroutine.
---@param exchange ccrelay.Exchange
---@param thread thread
function M.begin(exchange, thread)
  exchange.wait = { thread = thread, kinds = false, missed = false }
end

--- The coroutine of an exchange has ended, or is not to be resumed any more.
---@param exchange ccrelay.Exchange
function M.finish(exchange)
  if exchange.wait then exchange.wait.thread = false end
end

--- Resumes the coroutine of an exchange until it waits again or ends.
---@param exchange ccrelay.Exchange
---@param first any
---@param second any
---@return boolean ok
---@return any what it yielded, or the error
function M.resume(exchange, first, second)
  local own = exchange.wait
  own.kinds = false
  local ok, result = call.resume(own.thread, first, second)
  return ok, result
end

--- Whether the running coroutine is that of the exchange.
---@param exchange ccrelay.Exchange
---@return boolean
function M.is_own(exchange)
  return coroutine.running() == exchange.wait.thread
end

--- Suspends the running coroutine, which is that of the exchange, until one of the events comes.
---@param exchange ccrelay.Exchange
---@param kinds integer
---@return integer kind of the event
---@return integer detail
function M.await(exchange, kinds)
  local own = exchange.wait
  local missed = own.missed
  for index = 1, missed and #missed or 0 do
    local event = missed[index]
    if bit.band(kinds, event[1]) ~= 0 then
      table.remove(missed, index)
      return event[1], event[2]
    end
  end
  own.kinds = kinds
  return coroutine.yield()
end

--- Tells an exchange of something that is no event of C.
---@param exchange ccrelay.Exchange
---@param kind integer
function M.post(exchange, kind)
  M.posted[#M.posted + 1] = { exchange, kind }
end

--- Keeps an outcome or timer that came while the exchange waits for credentials.
---@param exchange ccrelay.Exchange
---@param kind integer
---@param detail integer
function M.miss(exchange, kind, detail)
  if M.awaits(exchange, M.SECRET) then M.keep(exchange, kind, detail) end
end

--- Makes the next M.await for this kind return the event at once.
---@param exchange ccrelay.Exchange
---@param kind integer
---@param detail integer
function M.keep(exchange, kind, detail)
  local own = exchange.wait
  own.missed = own.missed or {}
  table.insert(own.missed, { kind, detail })
end

--- Suspends the coroutine for good: the client has gone and the DONE event is on its way.
---@param exchange ccrelay.Exchange
function M.vanish(exchange)
  exchange.wait.kinds = false
  while true do coroutine.yield() end
end

--- Whether a call failed only because the exchange is over.
---@param code integer
---@return boolean
function M.is_over(code)
  return code == C.CC_ESTALE or code == C.CC_ESTATE
end

--- Whether the exchange waits for events of this kind.
---@param exchange ccrelay.Exchange
---@param kind integer
---@return boolean
function M.awaits(exchange, kind)
  local kinds = exchange.wait.kinds
  return kinds and bit.band(kinds, kind) ~= 0
end

--- Raises an error when an exchange is not in a state for a call.
---@param exchange ccrelay.Exchange
---@param action string name of the method
function M.check(exchange, action)
  if exchange.ended then error('exchange:' .. action .. ' was called after the exchange ended', 0) end
  if not M.is_own(exchange) then
    error('exchange:' .. action .. ' was called from outside of the exchange\'s own script', 0)
  end
  if exchange.answered then error('exchange:' .. action .. ' was called after the answer was given', 0) end
end

--- Waits so many milliseconds.
---@param exchange ccrelay.Exchange
---@param milliseconds number
function M.sleep(exchange, milliseconds)
  local due = C.cc_now() + milliseconds
  repeat
    C.cc_exchange_timer(exchange.relay, exchange.handle, math.max(due - C.cc_now(), 0))
    M.await(exchange, M.TIMER)
  until C.cc_now() >= due
end

return M
