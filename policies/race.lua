-- SPDX-License-Identifier: Apache-2.0
--- Race: failover that does not wait for a slow upstream. When a stream has no content within the time in which
--- 95 of 100 do, the next upstream is tried beside it. The first content wins; the other attempt is cancelled.
local relay = require 'ccrelay'

local LEAST, MOST = 500, 10000 -- ms that the first attempt runs alone
local UNKNOWN = 2000           -- ms, while the latency of the upstream is not known

local function head_start(upstream)
  return math.min(math.max(relay.latency(upstream) or UNKNOWN, LEAST), MOST)
end

return function(exchange)
  local list = relay.upstreams(exchange)
  if not exchange.stream or #list < 2 then return exchange:first(list) end
  return exchange:race(list, { after_ms = head_start(list[1]) })
end
