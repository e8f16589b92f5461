-- SPDX-License-Identifier: Apache-2.0
-- GET /v1/models and /v1/models/{id}: the models of the configuration, the names that clients may use for them, and
-- those that providers list, from memory. Entries have the members of Anthropic's list, and for clients of cc-relay
-- and of OpenAI's list also object, created, owned_by and provider.
local respond = require 'ccrelay.exchange.respond'
local lists = require 'ccrelay.util.lists'
local json = require 'ccrelay.util.json'
local model_lists = require 'ccrelay.routing.model_lists'
local text = require 'ccrelay.util.text'

local M = {}

local PREFIX = '/v1/models/'
local CREATED, CREATED_S = '2025-01-01T00:00:00Z', 1735689600

local function add(list, seen, provider, id)
  if seen[id] or string.sub(id, -1) == '*' or not provider:serves(id) then return end
  seen[id] = true
  list[#list + 1] = { type = 'model', id = id, display_name = id, created_at = CREATED,
    object = 'model', created = CREATED_S, owned_by = provider.type, provider = provider.name }
end

--- Lists every model once, in the order of the configuration.
---@param generation ccrelay.Generation
---@return table[] models
---@return table<string, boolean> seen
function M.list(generation)
  local list, seen = json.array {}, {}
  for _, provider in ipairs(generation.providers) do
    for _, id in ipairs(provider.settings.models or {}) do add(list, seen, provider, id) end
    for _, id in ipairs(lists.names(provider.settings.model_mapping or {})) do add(list, seen, provider, id) end
    for _, id in ipairs(model_lists.names(provider)) do add(list, seen, provider, id) end
  end
  return list, seen
end

local function one(exchange, list, seen)
  local id = text.unescape(string.sub(exchange.path, #PREFIX + 1))
  if not seen[id] then return respond.error(exchange, 404, 'there is no model "' .. id .. '"') end
  for _, model in ipairs(list) do
    if model.id == id then return respond.json(exchange, model) end
  end
end

---@param exchange ccrelay.Exchange
function M.serve(exchange)
  model_lists.prepare(exchange)
  local list, seen = M.list(exchange.generation)
  if string.sub(exchange.path, 1, #PREFIX) == PREFIX then return one(exchange, list, seen) end
  respond.json(exchange, {
    object = 'list', data = list, has_more = false, first_id = list[1] and list[1].id or json.null,
    last_id = list[#list] and list[#list].id or json.null,
  })
end

return M
