-- SPDX-License-Identifier: Apache-2.0
--- Race: failover that does not wait for a slow one. A stream that shows no content in the time 95 of 100
--- do gets a rival at the next upstream; whichever comes first is the answer, the other is called off.
local relay = require 'ccrelay'

local LEAST, MOST = 500, 10000 -- ms that the first one has to itself
local UNKNOWN = 2000           -- ms, until its latency has been learned

local function patience(upstream)
  return math.min(math.max(relay.latency(upstream) or UNKNOWN, LEAST), MOST)
end

return function(exchange)
  local list = relay.upstreams(exchange)
  if not exchange.stream or #list < 2 then return exchange:first(list) end
  return exchange:race(list, { after_ms = patience(list[1]) })
end
