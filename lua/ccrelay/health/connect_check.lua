-- SPDX-License-Identifier: Apache-2.0
-- Active health check: connects to providers that could not be reached, and sends nothing. The master does it for all
-- workers.
local C = require 'ccrelay.c'
local cell = require 'ccrelay.shared.cell'
local circuits = require 'ccrelay.health.circuits'
local fetch = require 'ccrelay.net.fetch'
local task = require 'ccrelay.sched.task'

local M = {}

M.TIMER = 14 -- number of the process's timer for the next check

local CONNECT_MS = 5000 -- time-out of a connection

local last = {} -- result of the last check by provider name: { at =, reason = }
local under_way = {}

local function check_provider(relay, provider, logger)
  local origin, reason = provider:origin(relay)
  local connected = false
  if origin then connected, reason = fetch.connect(origin, CONNECT_MS) end
  local now = C.cc_now()
  last[provider.name] = { at = now, reason = reason and logger.clean(reason) }
  under_way[provider.name] = nil
  cell.add('count:probes:' .. provider.name, 1)
  if not connected then return cell.add('count:probe_failures:' .. provider.name, 1) end
  if circuits.reachable(provider, now) then
    logger:line('info', 'provider accepts connections again', { 'provider', provider.name })
  end
end

-- A connection to a proxy for plain http says nothing about the provider behind it.
local function can_be_checked(provider)
  return not (provider.proxy and provider.base.scheme == 'http')
end

--- Starts the timer for the next check, if the generation has health checks enabled.
---@param relay ffi.cdata*
---@param generation ccrelay.Generation
function M.later(relay, generation)
  local check = generation.configuration.health.health_check
  C.cc_timer(relay, M.TIMER, check.enabled and check.interval_ms or -1)
end

--- Runs when the timer fires: begins to connect to every provider whose circuit is open because it could not be
--- reached.
---@param relay ffi.cdata*
---@param generation ccrelay.Generation
function M.look(relay, generation)
  generation:attach()
  local now = C.cc_now()
  for _, provider in ipairs(generation.providers) do
    local waits = circuits.is_unreachable(provider, now) and not under_way[provider.name]
    if waits and can_be_checked(provider) then
      under_way[provider.name] = true
      task.start(check_provider, relay, provider, generation.logger)
    end
  end
  M.later(relay, generation)
end

--- Returns the result of the last check of a provider: how long ago it was, and why it failed, if it did.
---@param provider ccrelay.Provider
---@param now number
---@return { ago_ms: number, reason: string? }?
function M.last(provider, now)
  local known = last[provider.name]
  return known and { ago_ms = math.floor(now - known.at), reason = known.reason } or nil
end

return M
