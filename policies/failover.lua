-- SPDX-License-Identifier: Apache-2.0
--- Failover: highest priority first, the next one when it fails. With routing.race_on_failure the others
--- are raced, two at a time, once the first has failed.
local relay = require 'ccrelay'

return function(exchange)
  local list, outcome = relay.upstreams(exchange), nil
  for index, upstream in ipairs(list) do
    if index > 1 and relay.routing.race_on_failure then return exchange:race { select(index, unpack(list)) } end
    outcome = exchange:try(upstream)
    if not outcome.retryable then break end
  end
  return outcome
end
