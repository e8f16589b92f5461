-- SPDX-License-Identifier: Apache-2.0
--- By class: routing.classes chooses the model by the class of a request. If that model cannot serve it, the
--- request goes to the model it asked for, like requests of other classes; upstreams are tried by failover.
--- Claude Code sends the class only with CLAUDE_CODE_GATEWAY_HINT_HEADERS=1 in its environment.
--- An auxiliary request gets another model only if it asks for a small one, as titles and summaries do: an
--- auxiliary request for a larger model may be the safety check of a tool call in auto mode.
local relay = require 'ccrelay'

local function try_model(exchange, model)
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
  if chosen and chosen ~= asked then outcome = try_model(exchange, chosen) end
  if outcome and outcome.ok then return outcome end
  return try_model(exchange, asked) or outcome
end
