-- SPDX-License-Identifier: Apache-2.0
-- Gives the client what a policy returned: an upstream's answer as it came, or the error it stands for.
local C = require 'ccrelay.c'
local answer = require 'ccrelay.answer'
local errors = require 'ccrelay.errors'
local retry_after = require 'ccrelay.retry_after'
local spend_cap = require 'ccrelay.spend_cap'

local M = {}

local function is_held(exchange, outcome)
  return outcome.holder == (outcome.attempt == 0 and exchange.holder_0 or exchange.holder_1)
end

local function set_headers(exchange, headers)
  for name, value in pairs(headers) do answer.header(exchange, name, value) end
end

-- The upstream's name for its request, under whatever header it has it.
local function request_id(outcome)
  local headers, named = outcome.headers, outcome.upstream.slot.provider.adapter.request_id
  return headers['request-id'] or named and headers[named] or nil
end

local function mark(exchange, outcome)
  if not outcome.headers['request-id'] then
    answer.header(exchange, 'request-id', request_id(outcome) or answer.request_id(exchange))
  end
  answer.debug(exchange, outcome.upstream.provider)
end

-- An answer may take minutes: what only led to it is let go.
local function shed(exchange)
  exchange.candidates, exchange.tried, exchange.cache.header = false, false, nil
  exchange.estimated, exchange.turns, exchange.filter = nil, nil, nil
end

local function no_stream(exchange, outcome)
  answer.error(exchange, 502, string.format('provider "%s" answered without a stream', outcome.upstream.provider),
    { failure = 'no_stream' })
end

local function pass(exchange, outcome)
  if outcome.ok and not (is_held(exchange, outcome) and outcome.holder.open) then
    error('the policy returned an outcome that was given up', 0)
  end
  if not outcome.ok then set_headers(exchange, retry_after.headers(outcome)) end
  spend_cap.apply(exchange, outcome)
  mark(exchange, outcome)
  local with_event = exchange.generation.policy.break_with == 'event'
  local code = C.cc_answer_outcome(exchange.relay, exchange.handle, outcome.attempt, with_event)
  if code == C.CC_ESTATE and exchange.early then return no_stream(exchange, outcome) end
  exchange.answered, exchange.chosen = true, outcome.holder
  shed(exchange)
end

local function travels(name)
  return name == 'x-should-retry' or string.sub(name, 1, 10) == 'anthropic-'
end

-- An upstream's error in the relay's words: status and message stay.
local function retell(exchange, outcome, status, kind, message)
  local headers = retry_after.headers(outcome)
  for name, value in pairs(outcome.headers) do
    if travels(name) and not spend_cap.hides(exchange, outcome, name) then headers[name] = value end
  end
  answer.debug(exchange, outcome.upstream.provider)
  answer.error(exchange, status, message, {
    type = kind, headers = headers, failure = outcome.error or kind, request_id = request_id(outcome),
  })
end

local function is_encoded(outcome)
  local encoding = outcome.headers['content-encoding']
  return encoding and string.lower(encoding) ~= 'identity'
end

local function passes_unread(outcome)
  if outcome.cut then return false end
  if is_encoded(outcome) then return true end
  return not outcome.complete and string.find(outcome.body, '^%s*{%s*"type"%s*:%s*"error"') ~= nil
end

local function passes_as_it_is(exchange, outcome)
  if exchange.early or not is_held(exchange, outcome) then return false end
  return outcome.shaped and not outcome.cut or passes_unread(outcome)
end

-- An adapter or a policy gave the error another message; its type, if that is another too, has a status.
local function retells(outcome)
  local told = outcome.shaped or { type = errors.type_of(outcome.status) }
  if not outcome.message or outcome.message == told.message then return nil end
  return outcome.type == told.type and outcome.status or errors.status_of(outcome.type)
end

local function http_error(exchange, outcome)
  local status = retells(outcome)
  if status then return retell(exchange, outcome, status, outcome.type, outcome.message) end
  if passes_as_it_is(exchange, outcome) then
    exchange.failure = outcome.type
    return pass(exchange, outcome)
  end
  local message = is_encoded(outcome) and '' or errors.message_of(outcome.decoded, outcome.body)
  if message == '' then
    message = string.format('provider "%s" answered %d without a body', outcome.upstream.provider, outcome.status)
  end
  return retell(exchange, outcome, outcome.status, outcome.type, message)
end

-- An error event, or an error inside a success: its data as the body, with the status of its type.
local function told_error(exchange, outcome)
  exchange.failure = outcome.error
  answer.header(exchange, 'content-type', 'application/json')
  set_headers(exchange, retry_after.headers(outcome))
  answer.debug(exchange, outcome.upstream.provider)
  answer.give(exchange, outcome.status, outcome.body, request_id(outcome))
end

-- Nobody could serve it, and nobody will until a person has acted: repeating it only delays the message.
local function is_final(exchange)
  if exchange.refusal and exchange.refusal.ready then return false end
  for _, outcome in ipairs(exchange.trail) do
    if not outcome.final then return false end
  end
  return true
end

-- The relay's own machine is to blame, not the provider, and not for long.
local function no_room(exchange, outcome)
  answer.error(exchange, 529, 'the relay has no descriptor, port or memory left for another connection',
    { failure = outcome.error, retry_after = 1 })
end

local function transport_error(exchange, outcome)
  if outcome.error == 'CC_EROOM' then return no_room(exchange, outcome) end
  local provider = outcome.upstream.provider
  local reason = outcome.reason or outcome.error
  if outcome.detail and outcome.detail ~= '' then reason = reason .. ' (' .. outcome.detail .. ')' end
  local message = exchange.generation.journal.clean(string.format('provider "%s": %s', provider, reason))
  answer.debug(exchange, provider)
  local options = { type = outcome.type, failure = outcome.error }
  if outcome.final and is_final(exchange) then options.should_retry = false end
  answer.error(exchange, outcome.timeout and 504 or 502, message, options)
end

local LONG_SECONDS = 60 -- longer than clients repeat a request

local function refusal_text(exchange, refusal, seconds)
  if refusal.kind == 'limited' then
    return string.format('every key for model "%s" is at its rate limit; the next is free in %d s',
      exchange.model, seconds)
  end
  if refusal.kind == 'aside' then
    return string.format('every key for model "%s" was refused by its provider or has spent its budget; the next is '
      .. 'tried again in %d s', exchange.model, seconds)
  end
  return string.format('every upstream for model "%s" is overloaded or failing; the next is tried in %d s',
    exchange.model, seconds)
end

--- Answers an exchange for which there was no candidate.
---@param exchange ccrelay.Exchange
function M.no_candidate(exchange)
  local refusal = exchange.refusal
  local model = exchange.model or ''
  answer.debug(exchange, nil)
  if refusal and refusal.ready then
    local seconds = math.max(math.ceil((refusal.ready - C.cc_now()) / 1000), 1)
    local status = refusal.kind == 'limited' and 429 or 529
    local options = { retry_after = seconds, failure = refusal.kind }
    if refusal.kind == 'aside' and seconds > LONG_SECONDS then options.should_retry = false end
    return answer.error(exchange, status, refusal_text(exchange, refusal, seconds), options)
  end
  if refusal and refusal.kind == 'unsupported' then
    local message = string.format('provider "%s" cannot take %s', refusal.provider, refusal.feature)
    return answer.error(exchange, 400, message, { failure = 'unsupported' })
  end
  if refusal and refusal.kind == 'not_allowed' then
    local message = string.format('the model "%s" is not allowed here: it is not in serves of any provider', model)
    return answer.error(exchange, 400, message, { failure = 'not_allowed' })
  end
  return answer.error(exchange, 404, 'no provider serves the model "' .. model .. '"', { failure = 'no_candidate' })
end

--- Gives the client an outcome.
---@param exchange ccrelay.Exchange
---@param outcome ccrelay.Outcome
function M.outcome(exchange, outcome)
  if outcome.refused then
    if not exchange.last then return M.no_candidate(exchange) end
    outcome = exchange.last
  end
  if outcome.ok then return pass(exchange, outcome) end
  if outcome.event then return told_error(exchange, outcome) end
  if outcome.error or not outcome.status then return transport_error(exchange, outcome) end
  return http_error(exchange, outcome)
end

return M
