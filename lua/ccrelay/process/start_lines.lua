-- SPDX-License-Identifier: Apache-2.0
-- Makes the lines that the relay logs when it starts: which providers are tried and in which order, which are not and
-- why, and the command that uses the relay.
local address = require 'ccrelay.net.address'
local candidates = require 'ccrelay.routing.candidates'

local M = {}

local MODEL = 'claude-sonnet-4-5' -- an example: what most clients ask for

local function tried(generation)
  local names, seen = {}, {}
  for _, one in ipairs(candidates.plan(generation, MODEL)) do
    local name = one.key.provider.name
    if not seen[name] then
      names[#names + 1] = one.model == MODEL and name or ('%s (as %s)'):format(name, one.model)
      seen[name] = true
    end
  end
  return names, seen
end

local function reason(provider)
  if not candidates.is_usable(provider) then return 'no key' end
  return 'does not serve it'
end

local function not_tried(generation, seen)
  local names = {}
  for _, provider in ipairs(generation.providers) do
    if not seen[provider.name] then names[#names + 1] = ('%s (%s)'):format(provider.name, reason(provider)) end
  end
  for _, settings in ipairs(generation.configuration.providers) do
    local why = settings.keys_skipped and 'all of its keys were skipped' or 'enabled: false'
    if settings.enabled == false then names[#names + 1] = ('%s (%s)'):format(settings.name, why) end
  end
  return names
end

local function command(generation, where)
  local url = address.client_url(where, generation.configuration.server.tls ~= nil)
  if not url then return nil end
  if #generation.auth.entries == 0 then return ('to use it: ANTHROPIC_BASE_URL=%s claude'):format(url) end
  return ('to use it: ANTHROPIC_BASE_URL=%s claude, with a key of server.auth in ANTHROPIC_AUTH_TOKEN'):format(url)
end

--- Returns the lines, without secrets.
---@param generation ccrelay.Generation
---@param listens string[] addresses that it listens on
---@return string[]
function M.of(generation, listens)
  local names, seen = tried(generation)
  local others = not_tried(generation, seen)
  local order = #names > 0 and table.concat(names, ', ') or 'none'
  local lines = { ('tried for %s, in this order: %s'):format(MODEL, order) }
  if #others > 0 then lines[#lines + 1] = ('not tried for %s: %s'):format(MODEL, table.concat(others, ', ')) end
  lines[#lines + 1] = command(generation, listens[1])
  return lines
end

return M
