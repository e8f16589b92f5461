-- SPDX-License-Identifier: Apache-2.0
--- Shuffle: deals upstreams like cards: in random order, each once before any comes again. The others are tried if
--- the one dealt fails.
local relay = require 'ccrelay'

local dealt = {}

local function deal(list)
  local left = {}
  for index, upstream in ipairs(list) do
    if not dealt[upstream.key_id] then left[#left + 1] = index end
  end
  if #left == 0 then
    for index, upstream in ipairs(list) do
      dealt[upstream.key_id] = nil
      left[index] = index
    end
  end
  return left[relay.random(#left)]
end

return function(exchange)
  local list = relay.upstreams(exchange)
  if #list == 0 then return nil end
  local chosen = table.remove(list, deal(list))
  dealt[chosen.key_id] = true
  table.insert(list, 1, chosen)
  return exchange:first(list)
end
