-- SPDX-License-Identifier: Apache-2.0
-- The wait queue: exchanges wait for room in the limits of keys, none longer than routing.queue_ms. It
-- guarantees that room goes to those who came first, over all workers, and that an exchange is refused at once if it is
-- known that it cannot be served in time. A client that wants a stream gets pings while it waits.
local C = require 'ccrelay.c'
local reservation = require 'ccrelay.limits.reservation'
local cell = require 'ccrelay.shared.cell'
local each = require 'ccrelay.util.each'
local ffi = require 'ffi'
local wait_lines = require 'ccrelay.routing.wait_lines'
local model_class = require 'ccrelay.limits.model_class'
local wait = require 'ccrelay.sched.wait'

---@class ccrelay.Queue exchange.queue, written here only
---@field full table<ccrelay.Key, { ready: number, line: table }>|false keys without room for it, and until when
---@field deadline number|false moment (cc_now) at which it stops waiting
---@field ticket number|false its place among all that wait, once it has begun to wait
---@field since number|false moment at which it began to wait; false: it does not wait
---@field asleep boolean whether its timer may be set
---@field waited_ms number how long it has waited so far

local M = {}

local RETRY_MS = 100     -- how often the first of a line looks for room: answers that used less than reserved make some
local RETRY_SOON_MS = 10 -- the same while there is room, but an exchange of another worker comes first

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

--- Whether an exchange may wait for room.
---@param exchange ccrelay.Exchange
---@return boolean
function M.wanted(exchange)
  return (configuration_of(exchange).routing.queue_ms or 0) > 0
end

--- Returns how long an exchange would have to wait for a key, until there is room for it and for those ahead of it. An
--- exchange that waits already was admitted to the queue, so it gets the time for its own room only.
---@param exchange ccrelay.Exchange
---@param key ccrelay.Key
---@param model string? as the upstream knows it
---@param now number
---@return number milliseconds 0: there is room
---@return boolean of_class whether the limit of the model class is what it waits for
function M.delay(exchange, key, model, now)
  local own, of_class = reservation.wait(exchange, key, model, now)
  if C.cc_cell_get(key.waited_for) <= now then return own, of_class end
  local ahead = wait_lines.ahead(exchange, key, model, now)
  if not ahead then return own, of_class end
  local behind, behind_class = reservation.wait(exchange, key, model, now, ahead)
  if behind == 0 or not (exchange.queue and exchange.queue.ticket) then return behind, behind_class end
  return math.max(own, RETRY_SOON_MS), of_class
end

--- Notes until when a key has no room for an exchange: M.wait waits for the earliest of these moments. If only a model
--- class is at its limit, exchanges for other models do not wait behind this one.
---@param exchange ccrelay.Exchange
---@param key ccrelay.Key
---@param model string? as the upstream knows it
---@param ready number moment (cc_now)
---@param of_class boolean
function M.note(exchange, key, model, ready, of_class)
  if not M.wanted(exchange) then return end
  local own = queue_of(exchange)
  own.full = own.full or {}
  own.full[key] = { ready = ready, line = of_class and model_class.of(key, model) or key }
end

-- When an exchange stops waiting: after routing.queue_ms, or when server.timeout_ms of the whole exchange is over.
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

--- Whether an exchange may wait until a moment.
---@param exchange ccrelay.Exchange
---@param ready number moment (cc_now)
---@return boolean
function M.waits_until(exchange, ready)
  return M.wanted(exchange) and ready <= deadline_of(exchange)
end

--- Takes an exchange out of the queue.
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

-- When the client has to get a ping; never if it wants no stream.
local function ping_due(exchange)
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

-- Waits until it is worth looking for room. The first of a line looks when room is expected, and every RETRY_MS; the
-- others look when they have become the first.
local function wait_in_line(exchange, ready)
  repeat
    local leads, now, ping = wait_lines.leads(exchange), C.cc_now(), ping_due(exchange)
    local due = leads and math.min(math.max(ready, now + 1), now + RETRY_MS) or now + wait_lines.LEASE_MS
    sleep_until(exchange, math.min(due, ping, deadline_of(exchange)))
    if C.cc_now() >= ping then exchange:begin_early() end
  until leads or C.cc_now() >= deadline_of(exchange) or wait_lines.leads(exchange)
end

local function soonest(full)
  local soonest_ms = math.huge
  for _, key in each(full) do soonest_ms = math.min(soonest_ms, key.ready) end
  return soonest_ms
end

--- Waits until one of the keys without room may have some. Returns false at once if that is too late. Runs in the
--- exchange's coroutine, outside of scripts.
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
