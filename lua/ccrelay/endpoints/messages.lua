-- SPDX-License-Identifier: Apache-2.0
-- POST /v1/messages: the policy decides, and what it returns is what the client gets.
local C = require 'ccrelay.c'
local Outcome = require 'ccrelay.health.outcome'
local answer = require 'ccrelay.exchange.respond'
local clients = require 'ccrelay.limits.clients'
local deliver = require 'ccrelay.exchange.respond_upstream'
local encoding = require 'ccrelay.exchange.content_encoding'
local face = require 'ccrelay.script.handle'
local ffi = require 'ffi'
local listing = require 'ccrelay.routing.model_lists'
local turn = require 'ccrelay.sched.wait'

-- The body is read here, so it is needed without its content-encoding.
local M = { decodes = true }

--- Whether the body is one that can be served; answers when it is not.
---@param exchange ccrelay.Exchange
---@param without_model boolean? it may be any JSON object
---@return boolean
function M.accepts(exchange, without_model)
  local code, offset = exchange:inspect()
  if turn.is_over(code) then turn.vanish(exchange) end
  if without_model and (code == C.CC_EMODEL or code == C.CC_OK) then return true end
  if code == C.CC_OK then
    listing.prepare(exchange)
    return true
  end
  exchange.malformed = true
  if encoding.refuse(exchange, code) then return false end
  local message = string.format('%s (at byte %d of the body)', ffi.string(C.cc_error_text(code)), offset)
  answer.error(exchange, 400, message, { failure = ffi.string(C.cc_error_name(code)) })
  return false
end

---@param exchange ccrelay.Exchange
function M.serve(exchange)
  if not M.accepts(exchange) then return end
  exchange.endpoint = 'messages'
  if not clients.enter(exchange) then return end
  local journal = exchange.generation.journal
  if journal:writes 'debug' then journal:body(exchange) end
  local result = turn.script(exchange.generation.policy.route, face.of(exchange))
  if exchange.answered then return end
  local outcome = face.object(result, 'outcome')
  if Outcome.is(outcome, exchange) then return deliver.outcome(exchange, outcome) end
  local none = result == nil and exchange.candidates and #exchange.candidates == 0
  if none then return deliver.no_candidate(exchange) end
  error('the policy returned ' .. (result == nil and 'nothing' or 'a ' .. type(result)) .. ', expected an outcome', 0)
end

return M
