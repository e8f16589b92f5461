-- SPDX-License-Identifier: Apache-2.0
--- By class: what Claude Code says a request is for chooses its model, by routing.classes. Where that model
--- cannot serve it the request goes out as it came; requests of other classes always do. Among upstreams
--- failover. Claude Code says it only where CLAUDE_CODE_GATEWAY_HINT_HEADERS=1 is set in its environment.
--- An auxiliary request is sent to another model only if it asks for a small one, as titles and summaries
--- do: one for a larger model may be auto mode's safety check of a tool call.
local relay = require 'ccrelay'

local function under(exchange, model)
  exchange:set('model', model)
  return exchange:first(relay.upstreams(exchange))
end

local function may_be_safety_check(exchange)
  return exchange.class == 'auxiliary' and not exchange.model:find('haiku', 1, true)
end

return function(exchange)
  local asked, chosen = exchange.model, relay.routing.classes[exchange.class or '']
  if may_be_safety_check(exchange) then chosen = nil end
  local outcome
  if chosen and chosen ~= asked then outcome = under(exchange, chosen) end
  if outcome and outcome.ok then return outcome end
  return under(exchange, asked) or outcome
end
