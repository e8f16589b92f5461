-- SPDX-License-Identifier: Apache-2.0
-- POST /v1/messages: calls the policy and answers with the outcome that it returns.
local C = require 'ccrelay.c'
local access = require 'ccrelay.log.access'
local call = require 'ccrelay.script.call'
local Outcome = require 'ccrelay.health.outcome'
local respond = require 'ccrelay.exchange.respond'
local clients = require 'ccrelay.limits.clients'
local respond_upstream = require 'ccrelay.exchange.respond_upstream'
local content_encoding = require 'ccrelay.exchange.content_encoding'
local handle = require 'ccrelay.script.handle'
local ffi = require 'ffi'
local model_lists = require 'ccrelay.routing.model_lists'
local selection = require 'ccrelay.routing.selection'
local wait = require 'ccrelay.sched.wait'

-- The endpoint reads the body, so C has to decode its content-encoding.
local M = { decodes = true }

--- Whether the body can be served; answers 400 when it cannot.
---@param exchange ccrelay.Exchange
---@param without_model boolean? accept any JSON object
---@return boolean
function M.accepts(exchange, without_model)
  local code, offset = exchange:inspect()
  if wait.is_over(code) then wait.vanish(exchange) end
  if without_model and (code == C.CC_EMODEL or code == C.CC_OK) then return true end
  if code == C.CC_OK then
    model_lists.prepare(exchange)
    return true
  end
  access.note_malformed(exchange)
  if content_encoding.refuse(exchange, code) then return false end
  local message = string.format('%s (at byte %d of the body)', ffi.string(C.cc_error_text(code)), offset)
  respond.error(exchange, 400, message, { failure = ffi.string(C.cc_error_name(code)) })
  return false
end

-- Whether the limits of the client admit the exchange; answers 429 when they do not.
local function is_admitted(exchange)
  local refusal = clients.enter(exchange)
  if not refusal then return true end
  local options = { retry_after = refusal.retry_after, failure = 'client_limit' }
  if not refusal.retry_after then options.should_retry = false end
  respond.error(exchange, 429, refusal.message, options)
  return false
end

---@param exchange ccrelay.Exchange
function M.serve(exchange)
  if not M.accepts(exchange) then return end
  exchange:set_endpoint 'messages'
  if not is_admitted(exchange) then return end
  local logger = exchange.generation.logger
  if logger:writes 'debug' then logger:body(exchange) end
  local result = call.policy(exchange.generation.policy.route, handle.of(exchange))
  if exchange.answered then return end
  local outcome = handle.object(result, 'outcome')
  if Outcome.is(outcome, exchange) then return respond_upstream.outcome(exchange, outcome) end
  if result == nil and selection.were_none(exchange) then return respond_upstream.no_candidate(exchange) end
  error('the policy returned ' .. (result == nil and 'nothing' or 'a ' .. type(result)) .. ', expected an outcome', 0)
end

return M
