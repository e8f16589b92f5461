-- SPDX-License-Identifier: Apache-2.0
-- What limits are booked for an exchange before it is sent, and what it has used when it is over.
local C = require 'ccrelay.c'
local bit = require 'bit'
local pacing = require 'ccrelay.limits.pacing'
local token_estimate = require 'ccrelay.limits.token_estimate'
local cell = require 'ccrelay.shared.cell'
local ffi = require 'ffi'
local model_class = require 'ccrelay.limits.model_class'

local M = {}

local LEAST_SHARE = 0.02   -- of a request that is new to its prompt cache
local EVENT_BYTES = 120    -- of an event of a stream that carries text, without the text
local MINUTE_MS = 60000

-- For a model of which no answer has told anything yet.
local FEW_BYTES = 2        -- that make a token: program text and most languages come to 2 to 4
local LONG_OUTPUT = 32000  -- tokens, where the request has no max_tokens
local SOON_MS = 1000       -- after which the first answer may be there

---@class ccrelay.Estimate
---@field model string? it is for
---@field known boolean whether an answer has told what requests to it come to
---@field input number tokens, cached or not
---@field output number
---@field most_input number the same with nothing known: rather too much
---@field most_output number
---@field told_output number where only the provider told a limit
---@field marked boolean whether a prompt cache may hold some of it

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

-- With nothing known of the model: the most that a request may come to, but not more than just above half
-- of a rate unless that much is probable. Two of these never go together, so a minute is over its limit by
-- one of them at most; and one does not wait for an empty minute, which may never come.
local function pessimistic(made, rates)
  local both = above_half(rates[2])
  local input = math.max(made.input, math.min(made.most_input, above_half(rates[3]), both))
  return input, math.max(made.output, math.min(made.most_output, above_half(rates[4]), both - input))
end

-- How much of a request is new to the prompt cache, as far as its conversation tells, and as others let
-- expect. A cache of more than the request is that of another prompt.
local function new_share(exchange, total, key)
  local provider = key and key.provider
  if provider and provider:counts_cache_reads(provider:map(exchange.model)) then return 1, 1 end
  local cached = exchange:cached_tokens(key)
  if not cached then return 1, math.max(token_estimate.new_share(exchange.model), LEAST_SHARE) end
  local share = cached < total and math.max(1 - cached / total, LEAST_SHARE) or 1
  return share, share
end

--- Tokens to reserve: input that counts towards limits, for what comes from a prompt cache does not
--- where the provider does not count it, and output. What the configuration says is never to be over, so
--- for a model of which nothing is known it is the most that the request may come to. What the provider
--- told it will see to itself, and there a guess does.
---@param exchange ccrelay.Exchange
---@param key ccrelay.Key? where it would be sent; nil: wherever
---@param rates number[]? of the limit, if any is of tokens, as a key has them; the key's when nil
---@return number input
---@return number output
---@return number told_input where only the provider told a limit
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

--- When to ask a limit again that had no room. While the first answer of a model is under way the limit may be
--- held up by reservations that it will show to be too large: then soon, unless it is requests that there are
--- too many of.
---@param exchange ccrelay.Exchange whose estimate had no room
---@param limit integer
---@param now number
---@param longest number ms until there is room if reservations turn out to be right
---@param ahead ffi.cdata*? struct cc_rates, what others will take first
---@return number milliseconds
function M.soonest(exchange, limit, now, longest, ahead)
  local made = exchange.estimated
  if longest <= SOON_MS or made.known or not made.model then return longest end
  if C.cc_cell_get(first_answer_due(made.model)) <= now then return longest end
  requests_ahead.requests = ahead and ahead.requests or 0
  return math.min(longest, math.max(C.cc_limit_wait(limit, now, 0, 0, requests_ahead), SOON_MS))
end

--- An exchange has its reservation: if nothing is known of its model, its answer will tell.
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

--- How long an attempt would have to wait for room in the configured limits of a key and its pacing: 0 when it
--- may go.
---@param exchange ccrelay.Exchange
---@param key ccrelay.Key
---@param now number
---@return number milliseconds
function M.configured_wait(exchange, key, now)
  return configured_wait(exchange, key, now, nil, M.estimate(exchange, key))
end

--- The same for these limits and what the provider told of the class of models.
---@param exchange ccrelay.Exchange
---@param key ccrelay.Key
---@param model string? as the upstream knows it
---@param now number
---@param ahead ffi.cdata*? struct cc_rates, what others will take first
---@return number milliseconds
---@return boolean of_class whether it is what the provider told of the class of models that has room last
function M.wait(exchange, key, model, now, ahead)
  local input, output, told_input, told_output = M.estimate(exchange, key)
  local longest = configured_wait(exchange, key, now, ahead, input, output)
  local told = model_class.of(key, model).limit
  local of_class = told and C.cc_limit_wait(told, now, told_input, told_output, ahead) or 0
  return math.max(longest, of_class), of_class > longest
end

--- Books an attempt at a key: two tickets, one for all its models and one for the class of this, and its
--- place in the pacing; nil when there is no room.
---@param exchange ccrelay.Exchange
---@param key ccrelay.Key
---@param model string? as the upstream knows it
---@param now number
---@param force boolean? go beyond what the provider told: it will see to that itself
---@return ffi.cdata*? tickets struct cc_reservation[2]
function M.reserve(exchange, key, model, now, force)
  local tickets, input, output, told_input, told_output = pair(), M.estimate(exchange, key)
  local told = model_class.of(key, model).limit or -1
  tickets[1].limit = -1
  if pacing.take(key, now) > 0 then return nil end
  if C.cc_limit_reserve(key.limit or -1, now, input, output, tickets, wait) == C.CC_ELIMIT then
    pacing.give_back(key)
    return nil
  end
  local room = C.cc_limit_reserve(told, now, told_input, told_output, tickets + 1, wait) ~= C.CC_ELIMIT
  if not room and not force then
    M.release(key, tickets)
    return nil
  end
  M.expect(exchange, now)
  return tickets
end

--- Puts what was really used in the place of the estimate.
---@param tickets ffi.cdata*
---@param input number tokens
---@param output number tokens
function M.settle(tickets, input, output)
  for index = 0, 1 do C.cc_limit_commit(tickets + index, C.cc_now(), input, output) end
end

--- Takes it all back.
---@param key ccrelay.Key
---@param tickets ffi.cdata*
function M.release(key, tickets)
  for index = 0, 1 do C.cc_limit_refund(tickets + index, C.cc_now()) end
  pacing.give_back(key)
end

-- The probable use of a reservation. It is less than was reserved when nothing was known of the model.
local function probable(exchange, ticket)
  local input, output = exchange:estimate()
  return math.min(ticket.input_tokens, input), math.min(ticket.output_tokens, output)
end

--- Settles what was booked for an attempt that was sent and given up, or broke off before it told
--- anything, with what it has probably used.
---@param exchange ccrelay.Exchange
---@param attempt ccrelay.Attempt
function M.abandon(exchange, attempt)
  for index = 0, 1 do
    local ticket = attempt.reserved + index
    C.cc_limit_commit(ticket, C.cc_now(), probable(exchange, ticket))
  end
end

--- Tokens of output that an answer has had: as counted, of a stream that broke off at least by its bytes,
--- for it tells its output at the end only.
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

--- What an answer has used. Of one that broke off, or does not tell, not less than is probable.
---@param exchange ccrelay.Exchange
---@param ticket ffi.cdata* struct cc_reservation
---@param report ffi.cdata* struct cc_report, with usage
---@param key ccrelay.Key? who answered
---@param model string?
---@return number input
---@return number output
function M.used(exchange, ticket, report, key, model)
  local input, output = M.charged(report.usage, key and key.provider:counts_cache_reads(model))
  if report.usage_final then return input, output end
  local told = report.usage.input + report.usage.cache_read + report.usage.cache_5m + report.usage.cache_1h > 0
  local likely_input, likely_output = probable(exchange, ticket)
  return told and input or likely_input, math.max(likely_output, M.output(report, model))
end

--- Settles what was booked for an attempt with what its answer has used.
---@param exchange ccrelay.Exchange
---@param attempt ccrelay.Attempt
---@param report ffi.cdata* struct cc_report, with usage
function M.close(exchange, attempt, report)
  for index = 0, 1 do
    local ticket = attempt.reserved + index
    C.cc_limit_commit(ticket, C.cc_now(), M.used(exchange, ticket, report, attempt.key, attempt.upstream.model))
  end
end

return M
