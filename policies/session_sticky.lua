-- SPDX-License-Identifier: Apache-2.0
--- Session sticky: a conversation stays at one upstream, where its prompt caches and signatures are valid. It
--- moves only when that upstream fails, and then stays where it was served. New conversations are spread by weight,
--- the same way in all workers and after a restart. Each model of a conversation has its own prompt cache, and so
--- its own upstream.
local relay = require 'ccrelay'

local CELLS = 1024 -- conversations share them, so that their number is bounded

-- Weighted rendezvous hashing: adding or removing an upstream moves few conversations.
local function rank(conversation, upstream)
  local draw = (relay.hash(conversation .. ' ' .. upstream.key_id) + 1) / 2 ^ 48
  return math.log(draw) / math.max(upstream.weight, 1e-9)
end

-- The upstream that served last comes first, then the others by rank.
local function arrange(list, conversation, last)
  local ranks = {}
  for _, upstream in ipairs(list) do
    ranks[upstream] = upstream.key_id == last and math.huge or rank(conversation, upstream)
  end
  table.sort(list, function(a, b) return ranks[a] > ranks[b] end)
end

return function(exchange)
  local list = relay.upstreams(exchange)
  local name = exchange.conversation
  if #list == 0 or not name then return exchange:first(list) end
  local conversation = relay.hash(name .. ' ' .. exchange.model)
  local affinity = relay.cell('session_sticky ' .. conversation % CELLS)
  local known, last = affinity:text():match '^(%d+) (.+)$'
  if known ~= ('%d'):format(conversation) then last = nil end
  arrange(list, conversation, last)
  local outcome = exchange:first(list)
  if outcome.ok and outcome.upstream.key_id ~= last then
    affinity:write(('%d %s'):format(conversation, outcome.upstream.key_id))
  end
  return outcome
end
