-- SPDX-License-Identifier: Apache-2.0
--- Failover: tries upstreams by priority, highest first. With routing.race_on_failure, once the first has
--- failed, the others race, two at a time.
local relay = require 'ccrelay'

return function(exchange)
  local list = relay.upstreams(exchange)
  if #list < 2 or not relay.routing.race_on_failure then return exchange:first(list) end
  local outcome = exchange:try(table.remove(list, 1))
  return outcome.retryable and exchange:race(list) or outcome
end
