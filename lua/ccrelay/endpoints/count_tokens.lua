-- SPDX-License-Identifier: Apache-2.0
-- POST /v1/messages/count_tokens: asks the provider that would get the message, or estimates if that one cannot count.
-- It guarantees that counting changes neither limits nor health.
local respond = require 'ccrelay.exchange.respond'
local attempt = require 'ccrelay.exchange.attempt'
local token_estimate = require 'ccrelay.limits.token_estimate'
local respond_upstream = require 'ccrelay.exchange.respond_upstream'
local handle = require 'ccrelay.script.handle'
local json = require 'ccrelay.util.json'
local messages = require 'ccrelay.endpoints.messages'
local count_coalescing = require 'ccrelay.exchange.count_coalescing'
local call = require 'ccrelay.script.call'
local candidates = require 'ccrelay.routing.candidates'
local selection = require 'ccrelay.routing.selection'

local M = { decodes = true }

local MOST_TRIES = 2
local MOST_KEPT_BYTES = 4096 -- of an answer that is shared

local function estimate(exchange)
  respond.header(exchange, 'content-type', 'application/json')
  respond.header(exchange, 'x-ccrelay-estimated', 'true')
  local bytes = 0
  for _, name in ipairs { 'system', 'tools', 'messages' } do bytes = bytes + #(exchange:field(name) or '') end
  local tokens = bytes / token_estimate.bytes_per_token(exchange.model)
  respond.give(exchange, 200, json.encode { input_tokens = math.max(math.ceil(tokens), 1) })
end

local function able(exchange)
  local first = candidates.candidates(exchange)[1]
  if first and not first.key.provider:supports 'count_tokens' then return {} end
  local list = {}
  for _, candidate in ipairs(selection.known(exchange)) do
    if candidate.key.provider:supports 'count_tokens' then list[#list + 1] = candidate end
  end
  return list
end

-- What the adapter reads in an answer of another shape: a number, false when the provider does not count for this
-- model, nil when the answer is passed on unchanged.
local function counted(outcome)
  local read = outcome.upstream.key.provider.adapter.count_tokens
  if outcome.status == 404 or outcome.status == 501 then return false end
  local count = read and call.adapter(read, handle.of(outcome))
  if type(count) == 'number' or count == false then return count end
  return nil
end

local function ask(exchange, list)
  local outcome
  for index, candidate in ipairs(list) do
    if index > MOST_TRIES then break end
    outcome = attempt.try(exchange, candidate)
    if not outcome.retryable then break end
  end
  return outcome
end

-- The body of an answer that has a count.
local function text_of(outcome)
  local body = outcome.ok and outcome.status == 200 and outcome.body
  if not body or #body > MOST_KEPT_BYTES then return nil end
  local value = json.decode(body)
  return type(value) == 'table' and type(value.input_tokens) == 'number' and body or nil
end

local function give(exchange, text)
  respond.header(exchange, 'content-type', 'application/json')
  respond.give(exchange, 200, text)
end

local function give_shared(exchange, text)
  if not text then return estimate(exchange) end
  respond.header(exchange, 'x-ccrelay-shared', 'true')
  give(exchange, text)
end

---@param exchange ccrelay.Exchange
function M.serve(exchange)
  if not messages.accepts(exchange) then return end
  exchange:set_endpoint 'count_tokens'
  local list = able(exchange)
  if #list == 0 then return estimate(exchange) end
  local known = count_coalescing.ask(exchange, list[1])
  if known ~= nil then return give_shared(exchange, known) end
  local outcome = ask(exchange, list)
  local number = counted(outcome)
  local text = number and json.encode { input_tokens = number }
  if number == nil then
    count_coalescing.notify(exchange, text_of(outcome))
    return respond_upstream.outcome(exchange, outcome)
  end
  count_coalescing.notify(exchange, text)
  if not text then return estimate(exchange) end
  return give(exchange, text)
end

return M
