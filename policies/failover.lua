-- SPDX-License-Identifier: Apache-2.0
--- Failover: highest priority first, the next one when it fails. With routing.race_on_failure the others
--- are raced, two at a time, once the first has failed.
local relay = require 'ccrelay'

return function(exchange)
  local list = relay.upstreams(exchange)
  if #list < 2 or not relay.routing.race_on_failure then return exchange:first(list) end
  local outcome = exchange:try(table.remove(list, 1))
  return outcome.retryable and exchange:race(list) or outcome
end
