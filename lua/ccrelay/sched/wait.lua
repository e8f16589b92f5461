-- SPDX-License-Identifier: Apache-2.0
-- The hand-over between the loop and the coroutine of an exchange.
local C = require 'ccrelay.c'
local bit = require 'bit'

local M = {}

-- What a coroutine waits for; several may be added up.
M.OUTCOME, M.TIMER, M.WRITABLE, M.BODY, M.SECRET, M.SHARED = 1, 2, 4, 8, 16, 32

-- Exchanges that something of the relay's own has news for, with the kind; the loop goes through it.
M.posted = {}

--- Gives the loop its turn until one of the events comes: returns which, and its detail.
---@param exchange ccrelay.Exchange
---@param kinds integer
---@return integer kind
---@return integer detail
function M.await(exchange, kinds)
  local missed = exchange.missed
  for index = 1, missed and #missed or 0 do
    local event = missed[index]
    if bit.band(kinds, event[1]) ~= 0 then
      table.remove(missed, index)
      return event[1], event[2]
    end
  end
  exchange.waiting = kinds
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
  if not M.awaits(exchange, M.SECRET) then return end
  M.keep(exchange, kind, detail)
end

--- Has an event come again at the next M.await for its kind.
---@param exchange ccrelay.Exchange
---@param kind integer
---@param detail integer
function M.keep(exchange, kind, detail)
  if not exchange.missed then exchange.missed = {} end
  table.insert(exchange.missed, { kind, detail })
end

--- The client has gone and the DONE event is on its way: the coroutine is not resumed again.
---@param exchange ccrelay.Exchange
function M.vanish(exchange)
  exchange.waiting = false
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
  return exchange.waiting and bit.band(exchange.waiting, kind) ~= 0
end

--- Refuses a call that the exchange is not in a state for.
---@param exchange ccrelay.Exchange
---@param action string
function M.check(exchange, action)
  if exchange.ended then error('exchange:' .. action .. ' was called after the exchange ended', 0) end
  if coroutine.running() ~= exchange.coroutine then
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
