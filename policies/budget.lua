-- SPDX-License-Identifier: Apache-2.0
--- Budget: failover for requests within the budgets of their client, group and model. A request over one of them gets
--- a 429 that says so and that clients do not retry.
local relay = require 'ccrelay'

return {
  route = function(exchange)
    return relay.over_budget(exchange) or exchange:first(relay.upstreams(exchange))
  end,
  on_done = function(exchange, report)
    local cost = relay.cost(report)
    if cost then return relay.spend(exchange, cost) end
    relay.log('warn', ('the cost of exchange %s at %s is unknown and not counted'):format(exchange.id,
      report.upstream.key_id))
  end,
}
