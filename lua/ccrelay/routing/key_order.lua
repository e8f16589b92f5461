-- SPDX-License-Identifier: Apache-2.0
-- Puts the keys of one provider in order, by the strategy of its pooling section.
local model_class = require 'ccrelay.limits.model_class'
local random = require 'ccrelay.util.random'

local M = {}

local ranks = {
  least_loaded = function(key, now, _, model) return -model_class.headroom(key, model, now) end,
  random = function() return random.fraction() end,
  weighted = function(key) return -math.log(1 - random.fraction()) / math.max(key.weight, 1e-9) end,
  round_robin = function(key, _, turn_number) return (key.place - turn_number) % key.peers end,
}

-- An exchange advances the round robin of a provider once, however often it asks for candidates.
local function turn_at(exchange, provider)
  if exchange.endpoint ~= 'messages' then return provider:turn() end
  local turns = exchange.turns or {}
  exchange.turns = turns
  turns[provider] = turns[provider] or provider:next_turn()
  return turns[provider]
end

--- Returns the function that ranks the keys of a provider for an exchange; the lowest rank comes first.
---@param exchange ccrelay.Exchange
---@param provider ccrelay.Provider
---@return (fun(key: table, now: number, turn_number: integer?, model: string?): number)? rank nil: as configured
---@return integer? turn_number of round_robin
function M.rank(exchange, provider)
  local pooling = provider.settings.pooling or {}
  local strategy = pooling.strategy or 'least_loaded'
  if pooling.enabled == false or #provider.keys < 2 then return nil end
  return ranks[strategy], strategy == 'round_robin' and turn_at(exchange, provider)
end

return M
