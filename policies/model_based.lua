-- SPDX-License-Identifier: Apache-2.0
--- Model based: the longest prefix in routing.model_mapping names the provider; every other model goes
--- to routing.default_provider. Without either, plain failover.
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
