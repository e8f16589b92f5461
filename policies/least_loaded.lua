-- SPDX-License-Identifier: Apache-2.0
--- Least loaded: tries the upstream with the most room in its limits first. Equal ones are tried by priority.
local relay = require 'ccrelay'

return function(exchange)
  local list = relay.upstreams(exchange)
  local room, place = {}, {}
  for index, upstream in ipairs(list) do room[upstream], place[upstream] = upstream.headroom, index end
  table.sort(list, function(a, b)
    if room[a] ~= room[b] then return room[a] > room[b] end
    return place[a] < place[b]
  end)
  return exchange:first(list)
end
