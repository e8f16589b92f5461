-- SPDX-License-Identifier: Apache-2.0
-- POST /v1/messages/count_tokens: by the provider that would get the message, where it can; else an
-- estimate. Neither health nor limits of messages hear of it.
local answer = require 'ccrelay.answer'
local attempt = require 'ccrelay.attempt'
local calibration = require 'ccrelay.calibration'
local deliver = require 'ccrelay.deliver'
local json = require 'ccrelay.json'
local messages = require 'ccrelay.endpoints.messages'
local turn = require 'ccrelay.turn'
local upstream = require 'ccrelay.upstream'

local M = {}

local MOST_TRIES = 2

local function estimate(exchange)
  answer.header(exchange, 'content-type', 'application/json')
  answer.header(exchange, 'x-ccrelay-estimated', 'true')
  local bytes = 0
  for _, name in ipairs { 'system', 'tools', 'messages' } do bytes = bytes + #(exchange:field(name) or '') end
  local tokens = bytes / calibration.bytes_per_token(exchange.model)
  answer.give(exchange, 200, json.encode { input_tokens = math.max(math.ceil(tokens), 1) })
end

local function able(exchange)
  local first = upstream.candidates(exchange)[1]
  if first and not first.slot.provider:supports 'count_tokens' then return {} end
  local list = {}
  for _, candidate in ipairs(exchange.candidates) do
    if candidate.slot.provider:supports 'count_tokens' then list[#list + 1] = candidate end
  end
  return list
end

-- What the adapter reads in an answer of another shape: a number, false when the provider does not
-- count for this model, nil when it is to be given as it came.
local function counted(outcome)
  local read = outcome.upstream.slot.provider.adapter.count_tokens
  if outcome.status == 404 then return false end
  return read and turn.adapter(read, outcome)
end

---@param exchange ccrelay.Exchange
function M.serve(exchange)
  if not messages.accepts(exchange) then return end
  exchange.endpoint = 'count_tokens'
  local outcome
  for index, candidate in ipairs(able(exchange)) do
    if index > MOST_TRIES then break end
    outcome = attempt.try(exchange, candidate)
    if not outcome.retryable then break end
  end
  local number = outcome and counted(outcome)
  if not outcome or number == false then return estimate(exchange) end
  if number then return answer.json(exchange, { input_tokens = number }) end
  return deliver.outcome(exchange, outcome)
end

return M
