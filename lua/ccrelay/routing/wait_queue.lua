-- SPDX-License-Identifier: Apache-2.0
-- The wait queue: exchanges wait for room in the limits of keys, none longer than routing.queue_ms. It
-- guarantees that room goes to those who came first, over all workers, and that an exchange which cannot be
-- served in time, by what is known, is refused at once. A client that wants a stream gets pings while it
-- waits, as it would within its stream.
local C = require 'ccrelay.c'
local reservation = require 'ccrelay.limits.reservation'
local cell = require 'ccrelay.shared.cell'
local each = require 'ccrelay.util.each'
local ffi = require 'ffi'
local wait_lines = require 'ccrelay.routing.wait_lines'
local model_class = require 'ccrelay.limits.model_class'
local wait = require 'ccrelay.sched.wait'

---@class ccrelay.Queue exchange.queue, written here only
---@field full table<ccrelay.Key, { ready: number, line: table }>|false keys that have no room for it, and until when
---@field deadline number|false moment (cc_now) at which it waits no more
---@field ticket number|false its place among all that wait, once it has waited
---@field since number|false when it began to wait; false: it does not
---@field asleep boolean whether its timer may be set
---@field waited_ms number so far

local M = {}

local LOOK_MS = 100 -- how often the first of a line looks: answers that took less than reserved make room
local NEXT_MS = 10  -- the same while there is room, and an exchange of another worker is to take it first

local request = ffi.new 'struct cc_request'

local function configuration_of(exchange)
  return exchange.generation.configuration
end

local function queue_of(exchange)
  local own = exchange.queue
  if not own then
    own = { full = false, deadline = false, ticket = false, since = false, asleep = false, waited_ms = 0 }
    exchange.queue = own
  end
  return own
end

--- Whether an exchange would wait for room at all.
---@param exchange ccrelay.Exchange
---@return boolean
function M.wanted(exchange)
  return (configuration_of(exchange).routing.queue_ms or 0) > 0
end

--- How long an exchange would have to wait for a key, 0 when it may go: until there is room for it beside
--- those who came before it. Who waits already has been let in, and is told only what its own room takes.
---@param exchange ccrelay.Exchange
---@param key ccrelay.Key
---@param model string? as the upstream knows it
---@param now number
---@return number milliseconds
---@return boolean of_class whether it is the class of models that has room last
function M.delay(exchange, key, model, now)
  local own, of_class = reservation.wait(exchange, key, model, now)
  if C.cc_cell_get(key.waited_for) <= now then return own, of_class end
  local ahead = wait_lines.ahead(exchange, key, model, now)
  if not ahead then return own, of_class end
  local behind, behind_class = reservation.wait(exchange, key, model, now, ahead)
  if behind == 0 or not (exchange.queue and exchange.queue.ticket) then return behind, behind_class end
  return math.max(own, NEXT_MS), of_class
end

--- Remembers that a key has no room for an exchange until then: M.wait waits for the first of these. Where it
--- is a class of models that has none, others do not have to wait behind this one.
---@param exchange ccrelay.Exchange
---@param key ccrelay.Key
---@param model string? as the upstream knows it
---@param ready number
---@param of_class boolean
function M.note(exchange, key, model, ready, of_class)
  if not M.wanted(exchange) then return end
  local own = queue_of(exchange)
  own.full = own.full or {}
  own.full[key] = { ready = ready, line = of_class and model_class.of(key, model) or key }
end

-- When an exchange waits no more: after routing.queue_ms, or when server.timeout_ms of the whole exchange is over.
local function deadline_of(exchange)
  local own = queue_of(exchange)
  if own.deadline then return own.deadline end
  local configuration, now = configuration_of(exchange), C.cc_now()
  local latest_ms, whole = now + configuration.routing.queue_ms, configuration.server.timeout_ms
  if whole > 0 and C.cc_request(exchange.relay, exchange.handle, request) == C.CC_OK then
    latest_ms = math.min(latest_ms, request.started + whole)
  end
  own.deadline = latest_ms
  return latest_ms
end

--- Whether an exchange would wait until then.
---@param exchange ccrelay.Exchange
---@param ready number
---@return boolean
function M.waits_until(exchange, ready)
  return M.wanted(exchange) and ready <= deadline_of(exchange)
end

--- It waits no more.
---@param exchange ccrelay.Exchange
function M.leave(exchange)
  local own = exchange.queue
  if not (own and own.since) then return end
  wait_lines.leave(exchange)
  own.waited_ms = own.waited_ms + C.cc_now() - own.since
  own.since = false
end

local function line_up(exchange)
  local own = queue_of(exchange)
  if own.since then return end
  if not own.ticket then
    own.ticket = wait_lines.ticket()
    cell.add('count:queued', 1)
  end
  own.since, own.asleep = C.cc_now(), false
end

-- When the client has to hear something; never for one that wants no stream.
local function silent_until(exchange)
  if exchange.early or not exchange.stream then return math.huge end
  return exchange.queue.since + C.CC_PING_MS
end

local function sleep_until(exchange, due)
  local own = queue_of(exchange)
  C.cc_exchange_timer(exchange.relay, exchange.handle, math.max(due - C.cc_now(), 0))
  own.asleep = true
  wait.await(exchange, wait.TIMER)
  own.asleep = false
end

-- Until it is worth looking for room: the first of a line does so when there should be some, and each LOOK_MS;
-- others when they have become the first.
local function wait_in_line(exchange, ready)
  repeat
    local leads, now, silent = wait_lines.leads(exchange), C.cc_now(), silent_until(exchange)
    local due = leads and math.min(math.max(ready, now + 1), now + LOOK_MS) or now + wait_lines.LEASE_MS
    sleep_until(exchange, math.min(due, silent, deadline_of(exchange)))
    if C.cc_now() >= silent then exchange:begin_early() end
  until leads or C.cc_now() >= deadline_of(exchange) or wait_lines.leads(exchange)
end

local function soonest(full)
  local soonest_ms = math.huge
  for _, key in each(full) do soonest_ms = math.min(soonest_ms, key.ready) end
  return soonest_ms
end

--- Waits until one of the keys that had no room for the exchange may have some; false at once when that is
--- too late. In the exchange's coroutine, outside of scripts.
---@param exchange ccrelay.Exchange
---@return boolean
function M.wait(exchange)
  local full = exchange.queue and exchange.queue.full
  if not full or exchange.ended or exchange.answered or not wait.is_own(exchange) then return false end
  local ready = soonest(full)
  if ready > deadline_of(exchange) then return false end
  line_up(exchange)
  wait_lines.join(exchange, full)
  wait_in_line(exchange, ready)
  exchange.queue.full = false
  return true
end

return M
