-- SPDX-License-Identifier: Apache-2.0
-- Answers the client with the outcome that a policy returned: the upstream's answer unchanged, or an error for it. It
-- guarantees that a failure which only says "cannot be served there" never replaces one that tells more.
local C = require 'ccrelay.c'
local access = require 'ccrelay.log.access'
local attempts = require 'ccrelay.exchange.attempt'
local respond = require 'ccrelay.exchange.respond'
local each = require 'ccrelay.util.each'
local api_error = require 'ccrelay.util.api_error'
local most_telling = require 'ccrelay.health.most_telling'
local retry_after = require 'ccrelay.limits.retry_after'
local selection = require 'ccrelay.routing.selection'
local spend_cap = require 'ccrelay.exchange.spend_cap'
local stated_limit = require 'ccrelay.health.stated_limit'

local M = {}

local function set_headers(exchange, headers)
  for name, value in each(headers) do respond.header(exchange, name, value) end
end

-- The upstream's request id; adapters name its header if it is not request-id.
local function request_id(outcome)
  local headers, named = outcome.headers, outcome.upstream.key.provider.adapter.request_id
  return headers['request-id'] or named and headers[named] or nil
end

-- Returns the upstream's request id.
local function mark(exchange, outcome)
  local own = outcome.headers['request-id']
  local id = own or request_id(outcome)
  if not own then respond.header(exchange, 'request-id', id or respond.request_id(exchange)) end
  respond.debug(exchange, outcome.upstream.provider)
  return id
end

local function no_stream(exchange, outcome)
  respond.error(exchange, 502, string.format('provider "%s" answered without a stream', outcome.upstream.provider),
    { failure = 'no_stream' })
end

local function pass(exchange, outcome)
  if outcome.ok and not (attempts.is_held(exchange, outcome) and outcome.attempt.open) then
    error('the policy returned an outcome that was given up', 0)
  end
  if not outcome.ok then set_headers(exchange, retry_after.headers(outcome)) end
  spend_cap.apply(exchange, outcome)
  local id = mark(exchange, outcome)
  local with_event = exchange.generation.policy.break_with == 'event'
  local code = C.cc_answer_outcome(exchange.relay, exchange.handle, outcome.number, with_event)
  if code == C.CC_ESTATE and exchange.early then return no_stream(exchange, outcome) end
  respond.mark_answered(exchange)
  attempts.choose(exchange, outcome.attempt, id)
  exchange:free_early()
end

local function headers_of(exchange, outcome)
  local headers = retry_after.headers(outcome)
  for name, value in each(outcome.headers) do
    local hidden = spend_cap.hides(exchange, outcome.upstream.credential, name)
    if api_error.travels(name) and not hidden then headers[name] = value end
  end
  return headers
end

-- Sends an upstream's error in the shape of the Messages API; status and message stay.
local function retell(exchange, outcome, status, kind, message)
  respond.debug(exchange, outcome.upstream.provider)
  respond.error(exchange, status, message, {
    type = kind, headers = headers_of(exchange, outcome), failure = outcome.error or kind,
    request_id = request_id(outcome),
  })
end

local function passes_unread(outcome)
  if outcome.cut then return false end
  if api_error.is_encoded(outcome.headers) then return true end
  return not outcome.complete and string.find(outcome.body, '^%s*{%s*"type"%s*:%s*"error"') ~= nil
end

local function passes_as_it_is(exchange, outcome)
  if exchange.early or not attempts.is_held(exchange, outcome) then return false end
  return outcome.shaped and not outcome.cut or passes_unread(outcome)
end

-- The status of an error to which an adapter or a policy gave another message: that of its type if it has another type,
-- too. Nil when the message is the upstream's.
local function retells(outcome)
  local told = outcome.shaped
  if not outcome.message or told and outcome.message == told.message then return nil end
  local kind = told and api_error.kind(told.type) or api_error.type_of(outcome.status)
  return outcome.type == kind and outcome.status or api_error.status_of(outcome.type)
end

-- Sends an error that C does not hold any more: status and body unchanged, and the headers that clients read.
local function pass_kept(exchange, outcome)
  access.note_failure(exchange, outcome.type)
  respond.header(exchange, 'content-type', 'application/json')
  set_headers(exchange, headers_of(exchange, outcome))
  respond.debug(exchange, outcome.upstream.provider)
  respond.give(exchange, outcome.status, outcome.body, request_id(outcome))
end

local function http_error(exchange, outcome)
  local status = retells(outcome)
  if status then return retell(exchange, outcome, status, outcome.type, outcome.message) end
  if passes_as_it_is(exchange, outcome) then
    access.note_failure(exchange, outcome.type)
    return pass(exchange, outcome)
  end
  if outcome.shaped and outcome.complete and not outcome.cut then return pass_kept(exchange, outcome) end
  return retell(exchange, outcome, outcome.status, outcome.type, api_error.told_message(outcome))
end

-- Sends an error event, or an error inside a success: its data as the body, with the status of its type.
local function told_error(exchange, outcome)
  access.note_failure(exchange, outcome.error)
  respond.header(exchange, 'content-type', 'application/json')
  set_headers(exchange, retry_after.headers(outcome))
  respond.debug(exchange, outcome.upstream.provider)
  respond.give(exchange, outcome.status, outcome.body, request_id(outcome))
end

-- Whether no upstream will serve the request until a person has acted. The client should show the error at once, not
-- retry.
local function is_final(exchange)
  local refusal = selection.refusal(exchange)
  if refusal and refusal.ready then return false end
  for _, outcome in ipairs(exchange.outcomes) do
    if not outcome.final then return false end
  end
  return true
end

-- The relay itself is short of resources, for a moment.
local function no_room(exchange, outcome)
  respond.error(exchange, 529, 'the relay has no descriptor, port or memory left for another connection',
    { failure = outcome.error, retry_after = 1 })
end

local function transport_error(exchange, outcome)
  if outcome.error == 'CC_EROOM' then return no_room(exchange, outcome) end
  local provider = outcome.upstream.provider
  local reason = outcome.reason or outcome.error
  if outcome.detail and outcome.detail ~= '' then reason = reason .. ' (' .. outcome.detail .. ')' end
  local message = exchange.generation.logger.clean(string.format('provider "%s": %s', provider, reason))
  respond.debug(exchange, provider)
  local options = { type = outcome.type, failure = outcome.error }
  if outcome.final and is_final(exchange) then options.should_retry = false end
  respond.error(exchange, outcome.timeout and 504 or 502, message, options)
end

local function seconds_until(moment, now)
  return math.max(math.ceil((moment - now) / 1000), 1)
end

-- Repeats a provider's error about a limit, with the seconds left of the time that it stated.
local function repeat_stated(exchange, refusal)
  local kept = stated_limit.find(refusal.limit)
  if not kept then return false end
  for name in each(kept.headers) do
    if spend_cap.hides(exchange, 'own', name) then kept.headers[name] = nil end
  end
  local options = { type = kept.type, headers = kept.headers, failure = 'limited',
    retry_after = seconds_until(kept.until_ms, C.cc_time()) }
  if not kept.body then
    respond.error(exchange, kept.status, kept.message, options)
    return true
  end
  access.note_failure(exchange, options.failure)
  kept.headers['content-type'], kept.headers['retry-after'] = 'application/json', retry_after.text(options.retry_after)
  set_headers(exchange, kept.headers)
  respond.give(exchange, kept.status, kept.body)
  return true
end

local function refuse_until(exchange, refusal)
  local seconds = seconds_until(refusal.ready, C.cc_now())
  local options = { retry_after = seconds, failure = 'limited' }
  if refusal.kind ~= 'overloaded' then
    return respond.error(exchange, 429, string.format('every key for model "%s" is at its rate limit; the next is free '
      .. 'in %d s', exchange.model, seconds), options)
  end
  local message = ('the relay has no room left to count the limits of the keys for model "%s"'):format(exchange.model)
  respond.error(exchange, 529, message, { failure = 'overloaded', should_retry = false })
end

--- Answers an exchange that had no candidate.
---@param exchange ccrelay.Exchange
function M.no_candidate(exchange)
  access.note_refused(exchange)
  local refusal = selection.refusal(exchange)
  respond.debug(exchange, nil)
  if refusal and refusal.ready then
    if refusal.kind == 'stated' and repeat_stated(exchange, refusal) then return end
    return refuse_until(exchange, refusal)
  end
  if refusal and refusal.kind == 'unsupported' then
    local message = string.format('provider "%s" cannot take %s', refusal.provider, refusal.feature)
    return respond.error(exchange, 400, message, { failure = 'unsupported' })
  end
  if refusal and refusal.kind == 'not_allowed' then
    local message = string.format('the model "%s" is not allowed here: it is not in serves of any provider',
      exchange.model)
    return respond.error(exchange, 400, message, { failure = 'not_allowed' })
  end
  respond.error(exchange, 404, 'no provider serves the model "' .. (exchange.model or '') .. '"',
    { failure = 'no_candidate' })
end

-- The only upstream left is being probed by another request.
local function being_probed(exchange, outcome)
  access.note_refused(exchange)
  local message = string.format('provider "%s" has failed lately, and another request is trying it now',
    outcome.upstream.provider)
  respond.error(exchange, 529, message, { retry_after = outcome.retry_after, failure = 'overloaded' })
end

-- Whether a preferred provider has stated when its limit ends, while the fallback calls the request invalid. Without
-- the fallback the client would have got the former.
local function is_stated_before(refusal, outcome)
  if not refusal or refusal.kind ~= 'stated' or outcome.retryable then return false end
  return most_telling.precedes(refusal.key, outcome.upstream.key)
end

-- The outcome to send: a failure that only says "cannot be served there" is replaced by one of another provider that
-- tells more. Nil: send that the limits have no room.
local function worth_telling(exchange, outcome)
  if outcome.ok then return outcome end
  if is_stated_before(selection.refusal(exchange), outcome) then return nil end
  if not most_telling.cannot_serve(outcome) then return outcome end
  local best, refusal = most_telling.choose(exchange.outcomes), selection.refusal(exchange)
  if best and not most_telling.cannot_serve(best) then return best end
  if refusal and refusal.ready then return nil end
  return outcome.not_started and best or outcome
end

--- Answers the client with an outcome, or with one of another provider that tells more.
---@param exchange ccrelay.Exchange
---@param outcome ccrelay.Outcome
function M.outcome(exchange, outcome)
  outcome = worth_telling(exchange, outcome)
  if not outcome then return M.no_candidate(exchange) end
  if outcome.ok then return pass(exchange, outcome) end
  if outcome.not_started then return being_probed(exchange, outcome) end
  if outcome.event then return told_error(exchange, outcome) end
  if outcome.error or not outcome.status then return transport_error(exchange, outcome) end
  return http_error(exchange, outcome)
end

return M
