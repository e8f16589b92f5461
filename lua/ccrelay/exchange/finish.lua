-- SPDX-License-Identifier: Apache-2.0
-- Ends an exchange: modules free what they hold for it, its reservations are committed, health learns, on_done of the
-- policy is called, and the exchange is counted and logged.
local C = require 'ccrelay.c'
local access = require 'ccrelay.log.access'
local accounting = require 'ccrelay.limits.accounting'
local affinity = require 'ccrelay.routing.affinity'
local attempts = require 'ccrelay.exchange.attempt'
local call = require 'ccrelay.script.call'
local clients = require 'ccrelay.limits.clients'
local count_coalescing = require 'ccrelay.exchange.count_coalescing'
local exchange_counters = require 'ccrelay.log.exchange_counters'
local fault = require 'ccrelay.script.fault'
local ffi = require 'ffi'
local handle = require 'ccrelay.script.handle'
local learn = require 'ccrelay.health.learn'
local record_writer = require 'ccrelay.log.record_writer'
local members = require 'ccrelay.script.members'
local reservation = require 'ccrelay.limits.reservation'
local wait_queue = require 'ccrelay.routing.wait_queue'

local M = {}

local report = ffi.new 'struct cc_report'
local request = ffi.new 'struct cc_request'

-- ---- What on_done is given ---------------------------------------------------------------------

local TIERS = { [C.CC_PRIORITY] = 'priority', [C.CC_BATCH] = 'batch' }

local REPORT = {}
for _, name in ipairs {
  'status', 'error', 'attempts', 'upstream', 'first_byte_ms', 'total_ms', 'usage_known', 'input_tokens',
  'output_tokens', 'cache_read_tokens', 'cache_write_tokens', 'cache_write_1h_tokens', 'tier',
  'fast', 'raced',
} do REPORT[name] = true end

local Report = { __metatable = false }

function Report.__index(_, name)
  if not REPORT[name] then error(members.unknown('a report', name, REPORT), 2) end
end

local function losers_of(exchange)
  if not exchange.losers then return nil end
  local list = {}
  for index, loser in ipairs(exchange.losers) do
    list[index] = { upstream = handle.of(loser.upstream), input_tokens = loser.input_tokens }
  end
  return list
end

local function facts_of(exchange, upstream)
  local usage = report.usage
  return {
    status = report.status, error = access.error_of(exchange, report), attempts = report.attempts,
    upstream = handle.of(upstream), first_byte_ms = report.first_byte_ms, total_ms = report.total_ms,
    usage_known = report.usage_known, input_tokens = usage.input,
    output_tokens = report.usage_known and reservation.output(report, upstream and upstream.model) or 0,
    cache_read_tokens = usage.cache_read, cache_write_tokens = usage.cache_5m + usage.cache_1h,
    cache_write_1h_tokens = usage.cache_1h, tier = TIERS[usage.tier], fast = usage.fast, raced = losers_of(exchange),
  }
end

local function tell_policy(exchange, upstream)
  local on_done = exchange.generation.policy.on_done
  if not on_done or exchange.endpoint ~= 'messages' then return end
  local facts = facts_of(exchange, upstream)
  local ok, message = call.pcall(call.policy, on_done, handle.of(exchange), setmetatable(facts, Report))
  if not ok then fault.note(exchange, message, '') end
end

-- Nil: unknown.
local function cost_of(exchange, upstream)
  local prices = exchange.generation.prices
  if not prices or not upstream or exchange.endpoint ~= 'messages' then return nil end
  return prices:cost(facts_of(exchange, upstream))
end

-- ---- The end -----------------------------------------------------------------------------------

-- Calls of C are fast only in compiled code. LuaJIT does not compile functions with short loops, so these calls have
-- functions of their own.
local function read_report(exchange)
  return C.cc_report(exchange.relay, exchange.handle, report) == C.CC_OK
end

local function read_request(exchange)
  return C.cc_request(exchange.relay, exchange.handle, request) == C.CC_OK
end

local function note_bad_request(exchange)
  if not read_request(exchange) or request.error == C.CC_OK then return end
  access.note_malformed(exchange)
  access.note_failure(exchange, ffi.string(C.cc_error_name(request.error)))
end

local function end_attempt(exchange, attempt, chosen)
  if not attempt then return end
  if attempt ~= chosen then
    if attempt.open then attempts.drop(exchange, attempt) end
  elseif attempt.counted then
    learn.from_end(exchange, attempt, report)
  end
end

local function is_served() return report.status >= 200 and report.status < 300 end

--- Ends an exchange whose DONE event has come.
---@param exchange ccrelay.Exchange
function M.finish(exchange)
  if not read_report(exchange) then return end
  note_bad_request(exchange)
  wait_queue.leave(exchange)
  clients.close(exchange)
  local made = exchange.attempts
  local chosen = made and made.chosen
  if made then
    end_attempt(exchange, made.first, chosen)
    end_attempt(exchange, made.second, chosen)
  end
  accounting.settle(exchange, report, chosen)
  count_coalescing.leave(exchange)
  local upstream = chosen and chosen.upstream or nil
  tell_policy(exchange, upstream)
  local cost = cost_of(exchange, upstream)
  exchange_counters.add(exchange, report, upstream and upstream.provider, cost)
  local served = upstream and is_served()
  local switched = served and affinity.switch(exchange, upstream.key) or nil
  access.write(exchange, report, upstream, cost, switched)
  local lost = switched and affinity.lost(exchange, upstream.key)
  record_writer.write(exchange, report, chosen, cost, switched, lost)
  if served then affinity.record(exchange, upstream.key, report.usage) end
end

return M
