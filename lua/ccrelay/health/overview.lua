-- SPDX-License-Identifier: Apache-2.0
-- The states of providers and keys as status, metrics and lists show them, without a secret.
local C = require 'ccrelay.c'
local breaker = require 'ccrelay.health.breaker'
local circuits = require 'ccrelay.health.circuits'
local connect_check = require 'ccrelay.health.connect_check'
local model_class = require 'ccrelay.limits.model_class'
local suspension = require 'ccrelay.health.suspension'
local cache = require 'ccrelay.credentials.cache'

local M = {}

local ORDER = { closed = 0, half_open = 1, open = 2 }

local function worst(provider, now, which)
  local state, ready = 'closed', nil
  for _, pair in ipairs(circuits.every(provider)) do
    local one, at = breaker.state(pair[which], now)
    if ORDER[one] > ORDER[state] then state, ready = one, at end
  end
  return state, ready
end

--- Returns the state of a provider's circuit: the worst of all classes of models.
---@param provider ccrelay.Provider
---@param now number
---@return ccrelay.BreakerState state
---@return number? ready
function M.provider_state(provider, now)
  return worst(provider, now, 'failure')
end

--- Returns the state of a key: the worst of all classes of models.
---@param key ccrelay.Key
---@param now number
---@return ccrelay.UpstreamState state
---@return number? ready
function M.key_state(key, now)
  local suspended, limited = suspension.ends(key, now), C.cc_cell_get(key.limited)
  if suspended then return 'aside', suspended end
  if limited > now then return 'limited', limited end
  local overload, ready = worst(key.provider, now, 'overload')
  if overload == 'open' then return 'cooling', ready end
  local failure
  failure, ready = worst(key.provider, now, 'failure')
  if failure == 'closed' then return 'ready' end
  return failure, ready
end

-- What is left of the limits that the provider tells of, by class of models. A class that has all of it, or of which
-- nothing is known, is left out.
local function class_headroom(key, now)
  local found
  for _, class in ipairs(model_class.LINES) do
    local limit = model_class.of(key, class).limit
    local headroom = limit and C.cc_limit_headroom(limit, now) or 1
    if headroom < 1 then
      found = found or {}
      found[class] = headroom
    end
  end
  return found
end

local function describe(key, now)
  local state, ready = M.key_state(key, now)
  return {
    id = key.id, org = key.org, priority = key.priority, weight = key.weight, state = state,
    headroom = model_class.headroom(key, nil, now), class_headroom = class_headroom(key, now),
    reason = state == 'aside' and suspension.reason(key) or nil,
    ready_in_ms = ready and math.max(math.ceil(ready - now), 0) or nil,
  }
end

--- Describes every provider with its keys and their states, without secrets, for status and lists.
---@param generation ccrelay.Generation
---@return table[]
function M.describe(generation)
  generation:attach()
  local list, now = {}, C.cc_now()
  for index, provider in ipairs(generation.providers) do
    local circuit = M.provider_state(provider, now)
    local entry = { provider = provider.name, type = provider.type, breaker = circuit, keys = {} }
    for place, key in ipairs(provider.keys) do entry.keys[place] = describe(key, now) end
    if #provider.keys == 0 then entry.keys[1] = describe(provider.keyless, now) end
    if entry.breaker ~= 'closed' then entry.probe = connect_check.last(provider, now) end
    entry.credentials = provider.source and cache.state(provider.source) or nil
    list[index] = entry
  end
  return list
end

return M
