-- SPDX-License-Identifier: Apache-2.0
-- Decides which providers are candidates for a model, and the name under which each gets it. This rule has no other
-- place; providers/README.md documents it under "Which provider serves a model".
local model_lists = require 'ccrelay.routing.model_lists'

local M = {}

local MOST_REMEMBERED = 512 -- models

-- Every Claude provider has models with this prefix; so do others that name the model or name none at all. All other
-- models are foreign.
local CLAUDE = 'claude-'

---@class ccrelay.Serving: { provider: ccrelay.Provider, model: string }[] model: the name that is sent
---@field forbidden boolean there are providers, but the serves setting of each of them excludes the model

local function has(provider, model)
  return provider:claims(model) or provider:is_native(model) or model_lists.lists(provider, model)
end

local function takes(provider, model)
  return has(provider, model) or provider:names_nothing()
end

local function those(providers, model, test)
  local some = {}
  for _, provider in ipairs(providers) do
    if test(provider, model) then some[#some + 1] = provider end
  end
  return some
end

-- Returns the providers that have the model (models or model_mapping names it, the adapter recognizes the form of its
-- name, or the provider lists it) and those that name no model. For a foreign model it returns only those that have it,
-- if any do. If none is left, it returns all.
local function having(providers, model)
  local is_claude = string.sub(model, 1, #CLAUDE) == CLAUDE
  local some = is_claude and {} or those(providers, model, has)
  if #some == 0 then some = those(providers, model, takes) end
  return #some > 0 and some or providers
end

local function among(providers, model)
  local allowed = those(providers, model, function(provider) return provider:serves(model) end)
  local list = {}
  for index, provider in ipairs(having(allowed, model)) do
    list[index] = { provider = provider, model = provider:map(model) }
  end
  list.forbidden = #providers > 0 and #allowed == 0
  return list
end

-- Results are kept per generation, until the list of a provider changes.
local function remembered(generation, model)
  if generation.serving_lists ~= model_lists.version then
    generation.serving, generation.serving_count, generation.serving_lists = {}, 0, model_lists.version
  end
  local known = generation.serving[model]
  if known then return known end
  known = among(generation.providers, model)
  if generation.serving_count >= MOST_REMEMBERED then generation.serving, generation.serving_count = {}, 0 end
  generation.serving[model] = known
  generation.serving_count = generation.serving_count + 1
  return known
end

local function passes(provider, filter)
  if filter.provider ~= nil and filter.provider ~= provider.name then return false end
  return filter.type == nil or filter.type == provider.type
end

--- Returns the candidates for a model in the order of the configuration. With a filter, only the providers that it
--- selects are considered.
---@param generation ccrelay.Generation
---@param model string as the client or the policy names it
---@param filter { provider: string?, type: string? }?
---@return ccrelay.Serving
function M.of(generation, model, filter)
  if not filter or filter.provider == nil and filter.type == nil then return remembered(generation, model) end
  return among(those(generation.providers, filter, passes), model)
end

return M
