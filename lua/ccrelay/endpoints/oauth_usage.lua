-- SPDX-License-Identifier: Apache-2.0
-- GET /api/oauth/usage, which Claude Code asks to show usage and limits. For a subscription it asks Anthropic with the
-- subscription's token; for all others it answers with the budgets of the client.
local respond = require 'ccrelay.exchange.respond'
local attempt = require 'ccrelay.exchange.attempt'
local client_auth = require 'ccrelay.exchange.client_auth'
local key_scheme = require 'ccrelay.credentials.key'
local budget = require 'ccrelay.limits.budget'
local respond_upstream = require 'ccrelay.exchange.respond_upstream'
local json = require 'ccrelay.util.json'
local spend_cap = require 'ccrelay.exchange.spend_cap'
local candidates = require 'ccrelay.routing.candidates'

local M = {}

local CENTS = 100
local SEVERITIES = { [0.75] = 'warning', [0.95] = 'critical' } -- by threshold

-- Anthropic as a candidate that gets the subscription's token unchanged.
local function at_anthropic(exchange)
  if not key_scheme.is_subscription(client_auth.bearer(exchange.header.authorization)) then return nil end
  for _, provider in ipairs(exchange.generation.providers) do
    local candidate = provider.type == 'anthropic' and candidates.at(provider, exchange.client)
    if candidate and candidate.credential == 'client' then return candidate end
  end
  return nil
end

local function unlimited()
  return {
    extra_usage = { is_enabled = false, monthly_limit = json.null, used_credits = json.null,
      utilization = json.null, currency = json.null },
    limits = json.array {},
  }
end

local function share_of(one) return budget.spent_of(one) / one.amount end

local function limit_of(one)
  local share = share_of(one)
  return {
    kind = 'spend', group = budget.period(one).adjective, percent = math.floor(share * 100), is_active = true,
    severity = SEVERITIES[spend_cap.threshold(share)] or 'normal',
    resets_at = os.date('!%Y-%m-%dT%H:%M:%SZ', spend_cap.resets_at(one)),
  }
end

-- extra_usage has room for one budget: the tightest.
local function limited(exchange)
  local one, limits = budget.tightest(exchange), json.array {}
  for index, each_one in ipairs(budget.of_client(exchange)) do limits[index] = limit_of(each_one) end
  return {
    extra_usage = { is_enabled = true, monthly_limit = math.floor(one.amount * CENTS + 0.5),
      used_credits = math.floor(budget.spent_of(one) * CENTS + 0.5), utilization = math.floor(share_of(one) * 100),
      currency = 'USD' },
    limits = limits,
  }
end

---@param exchange ccrelay.Exchange
function M.serve(exchange)
  exchange:set_endpoint 'passthrough'
  local candidate = at_anthropic(exchange)
  if candidate then return respond_upstream.outcome(exchange, attempt.try(exchange, candidate)) end
  respond.json(exchange, budget.tightest(exchange) and limited(exchange) or unlimited())
end

return M
