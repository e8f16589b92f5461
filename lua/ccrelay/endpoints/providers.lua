-- SPDX-License-Identifier: Apache-2.0
-- GET /v1/providers: the enabled providers and their state, without secrets. (cc-relay calls enabled active.)
local C = require 'ccrelay.c'
local respond = require 'ccrelay.exchange.respond'
local overview = require 'ccrelay.health.overview'
local json = require 'ccrelay.util.json'

local M = {}

-- The state of a provider is that of its best key.
local function state_of(provider, now)
  local keys = #provider.keys > 0 and provider.keys or { provider.keyless }
  local state
  for _, key in ipairs(keys) do
    state = overview.key_state(key, now)
    if state == 'ready' then break end
  end
  return state
end

---@param exchange ccrelay.Exchange
function M.serve(exchange)
  local list, now = json.array {}, C.cc_now()
  for index, provider in ipairs(exchange.generation.providers) do
    list[index] = {
      name = provider.name, type = provider.type, base_url = provider:base_url(), active = true,
      state = state_of(provider, now),
      models = json.array { unpack(provider.settings.models or {}) },
    }
  end
  respond.json(exchange, { object = 'list', data = list })
end

return M
