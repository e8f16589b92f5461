-- SPDX-License-Identifier: Apache-2.0
--- Cheapest: first the upstream where this request costs least by routing.prices, estimated without caches;
--- among equals, and among those without a price, which come last, by priority.
local relay = require 'ccrelay'

return function(exchange)
  local list = relay.upstreams(exchange)
  local price, place = {}, {}
  for index, upstream in ipairs(list) do
    price[upstream], place[upstream] = relay.price(upstream, exchange) or math.huge, index
  end
  table.sort(list, function(a, b)
    if price[a] ~= price[b] then return price[a] < price[b] end
    return place[a] < place[b]
  end)
  return exchange:first(list)
end
