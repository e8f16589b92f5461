-- SPDX-License-Identifier: Apache-2.0
--- Round robin: each exchange begins with the next upstream in turn. The others are tried if that one fails.
local relay = require 'ccrelay'

local turns = relay.cell 'round_robin'

return function(exchange)
  local list = relay.upstreams(exchange)
  if #list == 0 then return nil end
  local first, order = turns:add() % #list, {}
  for index = 1, #list do order[index] = list[(first + index - 1) % #list + 1] end
  return exchange:first(order)
end
