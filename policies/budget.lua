-- SPDX-License-Identifier: Apache-2.0
--- Budget: failover for clients that have spent less today (UTC) than their budget_per_day; a client over
--- its budget gets a 429 that says so, and that clients do not repeat.
local relay = require 'ccrelay'

return {
  route = function(exchange)
    return relay.over_budget(exchange) or exchange:first(relay.upstreams(exchange))
  end,
  on_done = function(exchange, report)
    local cost = relay.cost(report)
    if cost then return relay.spend(exchange, cost) end
    relay.log('warn', 'cost not known, so not counted: exchange ' .. exchange.id .. ' at ' .. report.upstream.key_id)
  end,
}
