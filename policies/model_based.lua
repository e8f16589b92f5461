-- SPDX-License-Identifier: Apache-2.0
--- Model based: the longest prefix in routing.model_mapping that the model begins with names the provider.
--- Models without one go to routing.default_provider; if that is not set, plain failover.
local relay = require 'ccrelay'

local function provider_of(model)
  local name, longest = relay.routing.default_provider, -1
  for prefix, provider in pairs(relay.routing.model_mapping or {}) do
    if #prefix > longest and model:sub(1, #prefix) == prefix then name, longest = provider, #prefix end
  end
  return name
end

return function(exchange)
  return exchange:first(relay.upstreams(exchange, { provider = provider_of(exchange.model) }))
end
