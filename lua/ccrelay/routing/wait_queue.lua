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

local M = {}

local LOOK_MS = 100 -- how often the first of a line looks: answers that took less than reserved make room
local NEXT_MS = 10  -- the same while there is room, and an exchange of another worker is to take it first

local request, settings = ffi.new 'struct cc_request', ffi.new 'struct cc_settings'

local function configuration_of(exchange)
  return exchange.generation.configuration
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
---@param slot ccrelay.Slot
---@param model string? as the upstream knows it
---@param now number
---@return number milliseconds
---@return boolean of_class whether it is the class of models that has room last
function M.delay(exchange, slot, model, now)
  local own, of_class = reservation.wait(exchange, slot, model, now)
  if C.cc_cell_get(slot.waited_for) <= now then return own, of_class end
  local ahead = wait_lines.ahead(exchange, slot, model, now)
  if not ahead then return own, of_class end
  local behind, behind_class = reservation.wait(exchange, slot, model, now, ahead)
  if behind == 0 or not exchange.ticket then return behind, behind_class end
  return math.max(own, NEXT_MS), of_class
end

--- Remembers that a key has no room for an exchange until then: M.wait waits for the first of these. Where it
--- is a class of models that has none, others do not have to wait behind this one.
---@param exchange ccrelay.Exchange
---@param slot ccrelay.Slot
---@param model string? as the upstream knows it
---@param ready number
---@param of_class boolean
function M.note(exchange, slot, model, ready, of_class)
  if not M.wanted(exchange) then return end
  exchange.full = exchange.full or {}
  exchange.full[slot] = { ready = ready, line = of_class and model_class.of(slot, model) or slot }
end

-- The exchange as a whole has a time too.
local function latest(exchange)
  local configuration, now = configuration_of(exchange), C.cc_now()
  local latest_ms, whole = now + configuration.routing.queue_ms, configuration.server.timeout_ms
  if whole > 0 and C.cc_request(exchange.relay, exchange.handle, request) == C.CC_OK then
    latest_ms = math.min(latest_ms, request.started + whole)
  end
  return latest_ms
end

--- Whether an exchange would wait until then.
---@param exchange ccrelay.Exchange
---@param ready number
---@return boolean
function M.waits_until(exchange, ready)
  if not M.wanted(exchange) then return false end
  exchange.queue_end = exchange.queue_end or latest(exchange)
  return ready <= exchange.queue_end
end

--- It waits no more.
---@param exchange ccrelay.Exchange
function M.leave(exchange)
  local queued = exchange.queued
  if not queued then return end
  wait_lines.leave(exchange)
  exchange.queued_ms = (exchange.queued_ms or 0) + C.cc_now() - queued.since
  exchange.queued = false
end

local function line_up(exchange)
  if exchange.queued then return end
  if not exchange.ticket then
    exchange.ticket = wait_lines.ticket()
    cell.add('count:queued', 1)
  end
  exchange.queued = { ticket = exchange.ticket, since = C.cc_now(), asleep = false, takes = {} }
end

-- When the client has to hear something; never for one that wants no stream.
local function silent_until(exchange)
  if exchange.early or not exchange.stream then return math.huge end
  C.cc_settings(exchange.relay, settings)
  return settings.ping_ms > 0 and exchange.queued.since + settings.ping_ms or math.huge
end

local function sleep_until(exchange, due)
  local queued = exchange.queued
  C.cc_exchange_timer(exchange.relay, exchange.handle, math.max(due - C.cc_now(), 0))
  queued.asleep = true
  wait.await(exchange, wait.TIMER)
  queued.asleep = false
end

-- Until it is worth looking for room: the first of a line does so when there should be some, and each LOOK_MS;
-- others when they have become the first.
local function wait_in_line(exchange, ready)
  repeat
    local leads, now, silent = wait_lines.leads(exchange), C.cc_now(), silent_until(exchange)
    local due = leads and math.min(math.max(ready, now + 1), now + LOOK_MS) or now + wait_lines.LEASE_MS
    sleep_until(exchange, math.min(due, silent, exchange.queue_end))
    if C.cc_now() >= silent then exchange:begin_early() end
  until leads or C.cc_now() >= exchange.queue_end or wait_lines.leads(exchange)
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
  local full = exchange.full
  if not full or exchange.ended or exchange.answered or not wait.is_own(exchange) then return false end
  exchange.queue_end = exchange.queue_end or latest(exchange)
  local ready = soonest(full)
  if ready > exchange.queue_end then return false end
  line_up(exchange)
  wait_lines.join(exchange, full)
  wait_in_line(exchange, ready)
  exchange.refusal, exchange.full = false, false
  return true
end

return M
