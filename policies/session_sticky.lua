-- SPDX-License-Identifier: Apache-2.0
--- Session sticky: a conversation stays at one upstream, where its prompt caches and signatures are good.
--- It leaves only when that one fails, and then stays at the one that served it. Which upstream a
--- conversation begins with is spread by weight, the same in all workers and after a restart.
local relay = require 'ccrelay'

local PLACES = 1024 -- that conversations share, so that there are no more cells than that

-- Rendezvous hashing: every place ranks the upstreams by itself, so one more or one less moves few.
local function rank(place, upstream)
  local draw = (relay.hash(place .. ' ' .. upstream.key_id) + 1) / 2 ^ 48
  return math.log(draw) / math.max(upstream.weight, 1e-9)
end

-- Best rank first, but before all the one that served last.
local function arrange(list, place, last)
  local ranks = {}
  for _, upstream in ipairs(list) do
    ranks[upstream] = upstream.key_id == last and math.huge or rank(place, upstream)
  end
  table.sort(list, function(a, b) return ranks[a] > ranks[b] end)
end

return function(exchange)
  local list = relay.upstreams(exchange)
  local session = exchange.session or exchange:field 'metadata.user_id'
  if #list == 0 or type(session) ~= 'string' then return exchange:first(list) end
  local place = relay.hash(session) % PLACES
  local home = relay.cell('session_sticky ' .. place)
  local last = home:text()
  arrange(list, place, last)
  local outcome = exchange:first(list)
  if outcome.ok and outcome.upstream.key_id ~= last then home:write(outcome.upstream.key_id) end
  return outcome
end
