-- SPDX-License-Identifier: Apache-2.0
--- Cheapest: tries upstreams by what the request costs there, cheapest first. The cost is estimated from
--- routing.prices, without prompt caches. Upstreams without a price come last; equal ones are tried by priority.
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
