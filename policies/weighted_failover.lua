-- SPDX-License-Identifier: Apache-2.0
--- Weighted failover: draws the first upstream at random by weight. When it fails, the others are tried by
--- priority. An upstream of weight 0 is used only when others fail.
local relay = require 'ccrelay'

local function draw(list)
  local total = 0
  for _, upstream in ipairs(list) do total = total + upstream.weight end
  local left = relay.random() * total
  for index, upstream in ipairs(list) do
    left = left - upstream.weight
    if left < 0 then return index end
  end
  return 1
end

return function(exchange)
  local list = relay.upstreams(exchange)
  if #list > 0 then table.insert(list, 1, table.remove(list, draw(list))) end
  return exchange:first(list)
end
