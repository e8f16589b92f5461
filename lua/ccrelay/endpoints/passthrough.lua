-- SPDX-License-Identifier: Apache-2.0
-- /v1/messages/batches* and /v1/files*: to the first provider that has them, as they are.
local answer = require 'ccrelay.answer'
local attempt = require 'ccrelay.attempt'
local deliver = require 'ccrelay.deliver'
local upstream = require 'ccrelay.upstream'

local M = {}

---@param exchange ccrelay.Exchange
function M.serve(exchange)
  local feature = string.find(exchange.path, '^/v1/files') and 'files' or 'batches'
  exchange.endpoint = 'passthrough'
  for _, provider in ipairs(exchange.generation.providers) do
    local candidate = provider:supports(feature) and upstream.at(provider, exchange.caller)
    if candidate then return deliver.outcome(exchange, attempt.try(exchange, candidate)) end
  end
  answer.error(exchange, 404, 'no provider serves ' .. exchange.path, { failure = 'no_candidate' })
end

return M
