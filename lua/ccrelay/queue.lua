-- SPDX-License-Identifier: Apache-2.0
-- Exchanges that wait for room in the limits: about in the order they came in, none longer than
-- routing.queue_ms. A client that wants a stream does not wait in silence longer than one that has its
-- stream: then its answer begins, with pings.
local C = require 'ccrelay.c'
local answer = require 'ccrelay.answer'
local cell = require 'ccrelay.cell'
local ffi = require 'ffi'
local turn = require 'ccrelay.turn'

local M = {}

local lines = {} -- by model: exchanges, the first come first
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

local function line_up(exchange)
  local model = exchange.model
  local line = lines[model] or {}
  lines[model] = line
  line[#line + 1] = exchange
  exchange.queued = { model = model, since = C.cc_now() }
  cell.add('count:queued', 1)
end

--- It waits no more.
---@param exchange ccrelay.Exchange
function M.leave(exchange)
  if not exchange.queued then return end
  local model = exchange.queued.model
  exchange.queued_ms = exchange.queued_ms + C.cc_now() - exchange.queued.since
  exchange.queued = false
  local line = lines[model]
  for index = #line, 1, -1 do
    if line[index] == exchange then table.remove(line, index) end
  end
  if #line == 0 then lines[model] = nil end
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

-- Those ahead ask first: each has a millisecond for it.
local function place_of(exchange)
  for index, other in ipairs(lines[exchange.queued.model]) do
    if other == exchange then return index end
  end
end

-- When the client has to hear something; never for one that wants no stream.
local function silent_until(exchange)
  if exchange.early or not exchange.stream then return math.huge end
  C.cc_settings(exchange.relay, settings)
  return settings.ping_ms > 0 and exchange.queued.since + settings.ping_ms or math.huge
end

local function sleep_until(exchange, due)
  local silent = silent_until(exchange)
  if due > silent then
    turn.sleep(exchange, silent - C.cc_now())
    answer.early(exchange)
  end
  turn.sleep(exchange, due - C.cc_now())
end

--- Waits until a limit that kept the exchange out has room; false at once when that is too late. In
--- the exchange's coroutine, outside of scripts.
---@param exchange ccrelay.Exchange
---@return boolean
function M.wait(exchange)
  local ready = exchange.room_at
  if not ready or exchange.ended or exchange.answered or coroutine.running() ~= exchange.coroutine then return false end
  exchange.queue_end = exchange.queue_end or latest(exchange)
  if ready > exchange.queue_end then return false end
  if not exchange.queued then line_up(exchange) end
  local now = C.cc_now()
  local due = math.max(ready, now + 1) + place_of(exchange) - 1
  sleep_until(exchange, math.min(due, exchange.queue_end))
  exchange.refusal, exchange.room_at = false, false
  return true
end

return M
