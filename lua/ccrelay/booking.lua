-- SPDX-License-Identifier: Apache-2.0
-- What limits are booked for an exchange before it is sent, and what it has used when it is over.
local C = require 'ccrelay.c'
local Outcome = require 'ccrelay.outcome'
local bit = require 'bit'
local calibration = require 'ccrelay.calibration'
local ffi = require 'ffi'
local home = require 'ccrelay.home'
local proof = require 'ccrelay.proof'
local quota = require 'ccrelay.quota'

local M = {}

local LEAST_SHARE = 0.02   -- of a request that is new to its prompt cache
local EVENT_BYTES = 120    -- of an event of a stream that carries text, without the text

---@class ccrelay.Estimate
---@field model string? it is for
---@field input number tokens, cached or not
---@field output number
---@field marked boolean whether a prompt cache may hold some of it

local function estimate_of(exchange)
  local known, model = exchange.estimated, exchange.model
  if known and known.model == model then return known end
  local input, output = exchange:estimate()
  known = {
    model = model, input = input, output = output,
    marked = input > 0 and bit.band(exchange.feature_bits, C.CC_HAS_CACHE_CONTROL) ~= 0,
  }
  exchange.estimated = known
  return known
end

-- How much of a request is new to the prompt cache, as far as its conversation tells, and as others let
-- expect. A cache of more than the request is that of another prompt.
local function new_share(exchange, total, slot)
  local provider = slot and slot.provider
  if provider and provider:counts_cache_reads(provider:map(exchange.model)) then return 1, 1 end
  local cached = home.cached(exchange, slot)
  if not cached then return 1, math.max(calibration.new_share(exchange.model), LEAST_SHARE) end
  local share = cached < total and math.max(1 - cached / total, LEAST_SHARE) or 1
  return share, share
end

--- Tokens to reserve: input that counts towards limits, for what comes from a prompt cache does not
--- where the provider does not count it, and output. What the configuration says is never to be over;
--- what the provider told it will see to itself, and there a guess does.
---@param exchange ccrelay.Exchange
---@param slot ccrelay.Slot? where it would be sent; nil: wherever
---@return number input
---@return number output
---@return number told_input where only the provider told a limit
---@return number told_output
function M.estimate(exchange, slot)
  local known = estimate_of(exchange)
  local input, told_output = known.input, math.min(known.output, calibration.USUAL_OUTPUT)
  if not known.marked then return input, known.output, input, told_output end
  local share, told_share = new_share(exchange, input, slot)
  return math.ceil(input * share), known.output, math.ceil(input * told_share), told_output
end

local pair = ffi.typeof 'struct cc_ticket[2]'
local wait = ffi.new 'double[1]'

--- How long an attempt would have to wait for room in the limits of a key: 0 when it may go.
---@param exchange ccrelay.Exchange
---@param slot ccrelay.Slot
---@param model string? as the upstream knows it
---@param now number
---@return number milliseconds
function M.wait(exchange, slot, model, now)
  local input, output, told_input, told_output = M.estimate(exchange, slot)
  local longest = proof.wait(exchange, slot)
  longest = slot.limit and math.max(longest, C.cc_limit_wait(slot.limit, now, input, output)) or longest
  local told = quota.of(slot, model).limit
  return told and math.max(longest, C.cc_limit_wait(told, now, told_input, told_output)) or longest
end

--- Books an attempt at a key: two tickets, one for all its models and one for the class of this; nil and
--- how long to wait when there is no room.
---@param exchange ccrelay.Exchange
---@param slot ccrelay.Slot
---@param model string? as the upstream knows it
---@param now number
---@return ffi.cdata*? tickets struct cc_ticket[2]
---@return number milliseconds
function M.reserve(exchange, slot, model, now)
  local unproven = proof.wait(exchange, slot)
  if unproven > 0 then return nil, unproven end
  local tickets, input, output, told_input, told_output = pair(), M.estimate(exchange, slot)
  local told = quota.of(slot, model).limit or -1
  tickets[1].limit = -1
  if C.cc_limit_reserve(slot.limit or -1, now, input, output, tickets, wait) == C.CC_ELIMIT then return nil, wait[0] end
  if C.cc_limit_reserve(told, now, told_input, told_output, tickets + 1, wait) == C.CC_ELIMIT then
    C.cc_limit_release(tickets, now)
    return nil, wait[0]
  end
  return tickets, 0
end

--- Puts what was really used in the place of the estimate.
---@param tickets ffi.cdata*
---@param input number tokens
---@param output number tokens
function M.settle(tickets, input, output)
  for index = 0, 1 do C.cc_limit_settle(tickets + index, C.cc_now(), input, output) end
end

--- Takes it all back.
---@param tickets ffi.cdata*
function M.release(tickets)
  for index = 0, 1 do C.cc_limit_release(tickets + index, C.cc_now()) end
end

--- Tokens of output that an answer has had: as counted, of a stream that broke off at least by its bytes,
--- for it tells its output at the end only.
---@param report ffi.cdata* struct cc_report, with usage
---@param model string?
---@return number
function M.output(report, model)
  if report.usage_final then return report.usage.output end
  local text = report.response_bytes - report.events * EVENT_BYTES
  return math.max(report.usage.output, math.floor(text / calibration.bytes_per_token(model or '')))
end

--- What an answer has used. Of one that broke off not less than was reserved.
---@param ticket ffi.cdata* struct cc_ticket
---@param report ffi.cdata* struct cc_report, with usage
---@param slot ccrelay.Slot? who answered
---@param model string?
---@return number input
---@return number output
function M.used(ticket, report, slot, model)
  local input, output = Outcome.charged(report.usage, slot and slot.provider:counts_cache_reads(model))
  if report.usage_final then return input, output end
  local told = report.usage.input + report.usage.cache_read + report.usage.cache_5m + report.usage.cache_1h > 0
  return told and input or ticket.input_tokens, math.max(ticket.output_tokens, M.output(report, model))
end

--- Settles what was booked for an attempt with what its answer has used.
---@param attempt ccrelay.Attempt
---@param report ffi.cdata* struct cc_report, with usage
function M.close(attempt, report)
  for index = 0, 1 do
    local ticket = attempt.tickets + index
    C.cc_limit_settle(ticket, C.cc_now(), M.used(ticket, report, attempt.slot, attempt.upstream.model))
  end
end

return M
