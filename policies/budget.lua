-- SPDX-License-Identifier: Apache-2.0
--- Budget: failover for clients that have spent less today (UTC) than budget_per_day lets them; who has
--- spent it gets a 429 that says so, and that clients do not repeat.
local relay = require 'ccrelay'

local WORDS = '%s has spent its budget for today (%.7g of %.7g); it starts anew at 00:00 UTC, in %d h %d min'

local function refuse(exchange, budget)
  local who = exchange.client and 'client "' .. exchange.client .. '"' or 'this relay'
  local minutes = math.ceil(budget.remains_ms / 60000)
  local message = WORDS:format(who, budget.spent, budget.per_day, math.floor(minutes / 60), minutes % 60)
  return exchange:respond {
    status = 429,
    headers = { ['content-type'] = 'application/json', ['x-should-retry'] = 'false',
      ['retry-after'] = math.ceil(budget.remains_ms / 1000) },
    body = { type = 'error', error = { type = 'rate_limit_error', message = message },
      request_id = 'req_ccr_' .. exchange.id },
  }
end

return {
  route = function(exchange)
    local budget = relay.budget(exchange)
    if budget.per_day and budget.spent >= budget.per_day then return refuse(exchange, budget) end
    return exchange:first(relay.upstreams(exchange))
  end,
  on_done = function(exchange, report)
    local cost = relay.cost(report)
    if cost then return relay.spend(exchange, cost) end
    relay.log('warn', 'cost not known, so not counted: exchange ' .. exchange.id .. ' at ' .. report.upstream.key_id)
  end,
}
