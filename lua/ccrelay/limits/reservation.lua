-- SPDX-License-Identifier: Apache-2.0
-- Reserves room in the limits of a key before an attempt is sent. When the attempt is over it commits what was used, or
-- refunds the reservation. It guarantees that the configured limits are not exceeded by what the relay sends.
local C = require 'ccrelay.c'
local bit = require 'bit'
local pacing = require 'ccrelay.limits.pacing'
local token_estimate = require 'ccrelay.limits.token_estimate'
local cell = require 'ccrelay.shared.cell'
local ffi = require 'ffi'
local model_class = require 'ccrelay.limits.model_class'

local M = {}

local LEAST_SHARE = 0.02   -- of a request that is assumed not to be in the prompt cache
local EVENT_BYTES = 120    -- of an event of a stream that carries text, without the text
local MINUTE_MS = 60000

-- For a model of which no answer has been seen.
local FEW_BYTES = 2        -- per token; program text and most languages have 2 to 4
local LONG_OUTPUT = 32000  -- tokens, if the request has no max_tokens
local SOON_MS = 1000       -- after which the first answer may have arrived

---@class ccrelay.Estimate
---@field model string? that the estimate is for
---@field known boolean whether an answer of this model has been seen
---@field input number tokens, cached or not
---@field output number tokens
---@field most_input number tokens while nothing is known of the model: an upper bound
---@field most_output number tokens, likewise
---@field told_output number tokens for limits that only the provider has stated
---@field marked boolean whether a prompt cache may hold a part of the request

local function is_known(model) return model ~= nil and token_estimate.is_known(model) end

local function estimate_of(exchange, rates)
  local before, model = exchange.estimated, exchange.model
  local stands = before and before.model == model
  if stands and (before.known or not rates or not is_known(model)) then return before end
  local known, input, output = is_known(model), exchange:estimate()
  local made = {
    model = model, known = known, input = input, output = output, most_input = input, most_output = output,
    told_output = math.min(output, token_estimate.USUAL_OUTPUT),
    marked = input > 0 and bit.band(exchange.feature_bits, C.CC_HAS_CACHE_CONTROL) ~= 0,
  }
  if not known then
    made.most_input = math.max(exchange:tokens_at(FEW_BYTES), input)
    made.most_output = exchange.max_tokens > 0 and exchange.max_tokens or LONG_OUTPUT
  end
  exchange.estimated = made
  return made
end

local function above_half(rate) return rate > 0 and math.floor(rate / 2) + 1 or math.huge end

-- For an unknown model: the upper bound of the estimate, but at most just above half of a rate unless more is probable.
-- Two such requests never run in the same minute, so a minute exceeds its limit by one of them at most; and none has to
-- wait for an empty minute, which may never come.
local function pessimistic(made, rates)
  local both = above_half(rates[2])
  local input = math.max(made.input, math.min(made.most_input, above_half(rates[3]), both))
  return input, math.max(made.output, math.min(made.most_output, above_half(rates[4]), both - input))
end

-- The share of a request that is not in the prompt cache: by what is known of its conversation, and by what requests to
-- the model usually have. A cache of more tokens than the request has belongs to another prompt.
local function new_share(exchange, total, key)
  local provider = key and key.provider
  if provider and provider:counts_cache_reads(provider:map(exchange.model)) then return 1, 1 end
  local cached = exchange:cached_tokens(key)
  if not cached then return 1, math.max(token_estimate.new_share(exchange.model), LEAST_SHARE) end
  local share = cached < total and math.max(1 - cached / total, LEAST_SHARE) or 1
  return share, share
end

--- Returns the tokens to reserve. Input from a prompt cache is left out if the provider does not count it. Configured
--- limits must not be exceeded, so for an unknown model they get an upper bound. The provider enforces the limits that
--- it has stated, so for these a likely value is enough.
---@param exchange ccrelay.Exchange
---@param key ccrelay.Key? that would be used; nil: any
---@param rates number[]? of the limit, as a key has them, if any is of tokens; nil: those of the key
---@return number input
---@return number output
---@return number told_input for limits that only the provider has stated
---@return number told_output
function M.estimate(exchange, key, rates)
  rates = rates or key and key.token_rates
  local made = estimate_of(exchange, rates)
  local input, output, told_input = made.input, made.output, made.input
  if made.marked then
    local share, told_share = new_share(exchange, input, key)
    input, told_input = math.ceil(input * share), math.ceil(input * told_share)
  end
  if rates and not made.known then input, output = pessimistic(made, rates) end
  return input, output, told_input, made.told_output
end

local pair = ffi.typeof 'struct cc_reservation[2]'
local requests_ahead = ffi.new 'struct cc_rates'
local wait = ffi.new 'double[1]'

local function first_answer_due(model) return cell.number('first answer ' .. token_estimate.place(model)) end

--- Returns how long to wait before asking a limit again that had no room. While the first answer of a model is under
--- way, reservations may be too large, and that answer will correct them: then the wait is short, unless the limit is
--- one of requests.
---@param exchange ccrelay.Exchange whose estimate had no room
---@param limit integer
---@param now number
---@param longest number ms until there is room if the reservations are right
---@param ahead ffi.cdata*? struct cc_rates: what exchanges ahead in the queue will take
---@return number milliseconds
function M.soonest(exchange, limit, now, longest, ahead)
  local made = exchange.estimated
  if longest <= SOON_MS or made.known or not made.model then return longest end
  if C.cc_cell_get(first_answer_due(made.model)) <= now then return longest end
  requests_ahead.requests = ahead and ahead.requests or 0
  return math.min(longest, math.max(C.cc_limit_wait(limit, now, 0, 0, requests_ahead), SOON_MS))
end

--- Notes that an exchange has its reservation: if its model is unknown, its answer will be the first one.
---@param exchange ccrelay.Exchange
---@param now number
function M.expect(exchange, now)
  local made = exchange.estimated
  if not made.known and made.model then C.cc_cell_set(first_answer_due(made.model), now + MINUTE_MS) end
end

local function configured_wait(exchange, key, now, ahead, input, output)
  local longest = key.limit and C.cc_limit_wait(key.limit, now, input, output, ahead) or 0
  if longest > 0 then longest = M.soonest(exchange, key.limit, now, longest, ahead) end
  return key.burst and math.max(longest, pacing.wait(key, now, ahead and ahead.requests)) or longest
end

--- Returns how long an attempt has to wait for room in the configured limits of a key and in its pacing; 0: not at all.
---@param exchange ccrelay.Exchange
---@param key ccrelay.Key
---@param now number
---@return number milliseconds
function M.configured_wait(exchange, key, now)
  return configured_wait(exchange, key, now, nil, M.estimate(exchange, key))
end

--- The same for these limits and for those that the provider has stated for the class of models.
---@param exchange ccrelay.Exchange
---@param key ccrelay.Key
---@param model string? as the upstream knows it
---@param now number
---@param ahead ffi.cdata*? struct cc_rates: what exchanges ahead in the queue will take
---@return number milliseconds
---@return boolean of_class whether the stated limits of the class need the longer wait
function M.wait(exchange, key, model, now, ahead)
  local input, output, told_input, told_output = M.estimate(exchange, key)
  local longest = configured_wait(exchange, key, now, ahead, input, output)
  local told = model_class.of(key, model).limit
  local of_class = told and C.cc_limit_wait(told, now, told_input, told_output, ahead) or 0
  return math.max(longest, of_class), of_class > longest
end

--- Reserves room for an attempt: in the configured limits of the key, in the stated limits of the class of models, and
--- in the pacing. Returns nil if there is no room.
---@param exchange ccrelay.Exchange
---@param key ccrelay.Key
---@param model string? as the upstream knows it
---@param now number
---@param force boolean? exceed limits that only the provider has stated, as it enforces them itself
---@return ffi.cdata*? reserved struct cc_reservation[2]
function M.reserve(exchange, key, model, now, force)
  local reserved, input, output, told_input, told_output = pair(), M.estimate(exchange, key)
  local told = model_class.of(key, model).limit or -1
  reserved[1].limit = -1
  if pacing.take(key, now) > 0 then return nil end
  if C.cc_limit_reserve(key.limit or -1, now, input, output, reserved, wait) == C.CC_ELIMIT then
    pacing.give_back(key)
    return nil
  end
  local room = C.cc_limit_reserve(told, now, told_input, told_output, reserved + 1, wait) ~= C.CC_ELIMIT
  if not room and not force then
    M.refund(key, reserved)
    return nil
  end
  M.expect(exchange, now)
  return reserved
end

--- Commits a reservation with the tokens that were used.
---@param reserved ffi.cdata*
---@param input number tokens
---@param output number tokens
function M.commit(reserved, input, output)
  for index = 0, 1 do C.cc_limit_commit(reserved + index, C.cc_now(), input, output) end
end

--- Refunds a reservation: nothing was used.
---@param key ccrelay.Key
---@param reserved ffi.cdata*
function M.refund(key, reserved)
  for index = 0, 1 do C.cc_limit_refund(reserved + index, C.cc_now()) end
  pacing.give_back(key)
end

-- The probable use of a reservation, which is less than it when the model was unknown.
local function probable(exchange, reserved)
  local input, output = exchange:estimate()
  return math.min(reserved.input_tokens, input), math.min(reserved.output_tokens, output)
end

--- Commits the reservation of an attempt that was given up, or broke off without usage, with its probable use.
---@param exchange ccrelay.Exchange
---@param attempt ccrelay.Attempt
function M.commit_probable(exchange, attempt)
  for index = 0, 1 do
    local reserved = attempt.reserved + index
    C.cc_limit_commit(reserved, C.cc_now(), probable(exchange, reserved))
  end
end

--- Returns the output tokens of an answer: as counted by the provider; if a stream broke off, which is before it states
--- its output, at least what its bytes amount to.
---@param report ffi.cdata* struct cc_report, with usage
---@param model string?
---@return number
function M.output(report, model)
  if report.usage_final then return report.usage.output end
  local text = report.response_bytes - report.events * EVENT_BYTES
  return math.max(report.usage.output, math.floor(text / token_estimate.bytes_per_token(model or '')))
end

--- Tokens that count towards limits. Tokens read from a prompt cache count only where the provider counts them.
---@param usage ffi.cdata* struct cc_usage
---@param cache_reads boolean? whether the provider counts them
---@return number input
---@return number output
function M.charged(usage, cache_reads)
  return usage.input + usage.cache_5m + usage.cache_1h + (cache_reads and usage.cache_read or 0), usage.output
end

--- Returns what an answer has used; if it broke off or states no usage, at least the probable use.
---@param exchange ccrelay.Exchange
---@param reserved ffi.cdata* struct cc_reservation
---@param report ffi.cdata* struct cc_report, with usage
---@param key ccrelay.Key? that was used
---@param model string?
---@return number input
---@return number output
function M.used(exchange, reserved, report, key, model)
  local input, output = M.charged(report.usage, key and key.provider:counts_cache_reads(model))
  if report.usage_final then return input, output end
  local told = report.usage.input + report.usage.cache_read + report.usage.cache_5m + report.usage.cache_1h > 0
  local likely_input, likely_output = probable(exchange, reserved)
  return told and input or likely_input, math.max(likely_output, M.output(report, model))
end

--- Commits the reservation of an attempt with what its answer has used.
---@param exchange ccrelay.Exchange
---@param attempt ccrelay.Attempt
---@param report ffi.cdata* struct cc_report, with usage
function M.commit_report(exchange, attempt, report)
  for index = 0, 1 do
    local reserved = attempt.reserved + index
    C.cc_limit_commit(reserved, C.cc_now(), M.used(exchange, reserved, report, attempt.key, attempt.upstream.model))
  end
end

return M
