-- SPDX-License-Identifier: Apache-2.0
--- Failover: highest priority first, the next one when it fails.
local relay = require 'ccrelay'

return function(exchange)
  local outcome
  for _, upstream in ipairs(relay.upstreams(exchange)) do
    outcome = exchange:try(upstream)
    if not outcome.retryable then break end
  end
  return outcome
end
