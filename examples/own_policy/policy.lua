-- SPDX-License-Identifier: Apache-2.0
--- Opus goes to Anthropic only; everything else to the candidates in order of priority.
local relay = require 'ccrelay'

return function(exchange)
  local filter = exchange.model:find('opus', 1, true) and { provider = 'anthropic' } or nil
  local list = relay.upstreams(exchange, filter)
  if filter and #list == 0 then return exchange:refuse 'Opus is not available now. Please choose Sonnet.' end
  return exchange:first(list)
end
