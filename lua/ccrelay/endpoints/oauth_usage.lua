-- SPDX-License-Identifier: Apache-2.0
-- GET /api/oauth/usage, which Claude Code asks to show usage and limits. For a subscription it asks Anthropic with the
-- subscription's token; for all others it answers with the budget of the client.
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

local function limited(spent, per_day)
  local share = spent / per_day
  local percent = math.floor(share * 100)
  return {
    extra_usage = { is_enabled = true, monthly_limit = math.floor(per_day * CENTS + 0.5),
      used_credits = math.floor(spent * CENTS + 0.5), utilization = percent, currency = 'USD' },
    limits = json.array { {
      kind = 'spend', group = 'daily', percent = percent, is_active = true,
      severity = SEVERITIES[spend_cap.threshold(share)] or 'normal',
      resets_at = os.date('!%Y-%m-%dT%H:%M:%SZ', spend_cap.resets_at()),
    } },
  }
end

---@param exchange ccrelay.Exchange
function M.serve(exchange)
  exchange:set_endpoint 'passthrough'
  local candidate = at_anthropic(exchange)
  if candidate then return respond_upstream.outcome(exchange, attempt.try(exchange, candidate)) end
  local per_day = budget.of(exchange)
  respond.json(exchange, per_day and limited(budget.spent(exchange), per_day) or unlimited())
end

return M
