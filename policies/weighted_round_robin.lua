-- SPDX-License-Identifier: Apache-2.0
--- Weighted round robin (smooth): each upstream gets exchanges in proportion to its weight, evenly spread. An
--- upstream of weight 0 is used only when others fail.
local relay = require 'ccrelay'

local credit = {}

local function choose(list)
  local total, best = 0, 1
  for index, upstream in ipairs(list) do
    local key = upstream.key_id
    total = total + upstream.weight
    credit[key] = (credit[key] or 0) + upstream.weight
    if credit[key] > credit[list[best].key_id] then best = index end
  end
  local chosen = list[best].key_id
  credit[chosen] = credit[chosen] - total
  return best
end

return function(exchange)
  local list = relay.upstreams(exchange)
  if #list > 0 then table.insert(list, 1, table.remove(list, choose(list))) end
  return exchange:first(list)
end
