-- SPDX-License-Identifier: Apache-2.0
--- Session sticky: a conversation stays at one upstream, where its prompt caches and signatures are good.
--- It leaves only when that one fails, and then stays at the one that served it. Which upstream a
--- conversation begins with is spread by weight, the same in all workers and after a restart. The models of
--- a conversation have caches of their own, and so an upstream each.
local relay = require 'ccrelay'

local PLACES = 1024 -- that conversations share, so that there are no more cells than that

-- Rendezvous hashing: every conversation ranks the upstreams by itself, so one more or one less moves few.
local function rank(mark, upstream)
  local draw = (relay.hash(mark .. ' ' .. upstream.key_id) + 1) / 2 ^ 48
  return math.log(draw) / math.max(upstream.weight, 1e-9)
end

-- Best rank first, but before all the one that served last.
local function arrange(list, mark, last)
  local ranks = {}
  for _, upstream in ipairs(list) do
    ranks[upstream] = upstream.key_id == last and math.huge or rank(mark, upstream)
  end
  table.sort(list, function(a, b) return ranks[a] > ranks[b] end)
end

return function(exchange)
  local list = relay.upstreams(exchange)
  local session = exchange.session or exchange:field 'metadata.user_id'
  if #list == 0 or type(session) ~= 'string' then return exchange:first(list) end
  local mark = relay.hash(session .. ' ' .. exchange.model)
  local home = relay.cell('session_sticky ' .. mark % PLACES)
  local known, last = home:text():match '^(%d+) (.+)$'
  if known ~= ('%d'):format(mark) then last = nil end
  arrange(list, mark, last)
  local outcome = exchange:first(list)
  if outcome.ok and outcome.upstream.key_id ~= last then
    home:write(('%d %s'):format(mark, outcome.upstream.key_id))
  end
  return outcome
end
