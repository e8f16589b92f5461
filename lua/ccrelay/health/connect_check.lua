-- SPDX-License-Identifier: Apache-2.0
-- Active health check: connects to providers that could not be reached, and sends nothing. The master does it for all
-- workers.
local C = require 'ccrelay.c'
local cell = require 'ccrelay.shared.cell'
local circuits = require 'ccrelay.health.circuits'
local fetch = require 'ccrelay.net.fetch'
local task = require 'ccrelay.sched.task'

local M = {}

M.TIMER = 14 -- the process's timer that says when

local PATIENCE_MS = 5000

local last = {} -- by the provider's name: { at =, reason = }
local under_way = {}

local function check_provider(relay, provider, journal)
  local origin, reason = provider:origin(relay)
  local stands = false
  if origin then stands, reason = fetch.connect(origin, PATIENCE_MS) end
  local now = C.cc_now()
  last[provider.name] = { at = now, reason = reason and journal.clean(reason) }
  under_way[provider.name] = nil
  cell.add('count:probes:' .. provider.name, 1)
  if not stands then return cell.add('count:probe_failures:' .. provider.name, 1) end
  if circuits.reachable(provider, now) then
    journal:line('info', 'provider takes connections again', { 'provider', provider.name })
  end
end

-- A proxy that relays plain http would answer for everybody.
local function is_told_by_connections(provider)
  return not (provider.proxy and provider.base.scheme == 'http')
end

--- Has the timer ring after the interval of a generation, if it wants to be looked after.
---@param relay ffi.cdata*
---@param generation ccrelay.Generation
function M.later(relay, generation)
  local check = generation.configuration.health.health_check
  C.cc_timer(relay, M.TIMER, check.enabled and check.interval_ms or -1)
end

--- The timer rang: begins to connect to every provider whose circuit is open because it could not be
--- reached.
---@param relay ffi.cdata*
---@param generation ccrelay.Generation
function M.look(relay, generation)
  generation:attach()
  local now = C.cc_now()
  for _, provider in ipairs(generation.providers) do
    local waits = circuits.is_unreachable(provider, now) and not under_way[provider.name]
    if waits and is_told_by_connections(provider) then
      under_way[provider.name] = true
      task.start(check_provider, relay, provider, generation.journal)
    end
  end
  M.later(relay, generation)
end

--- What the last connection to a provider came to: how long ago, and what hindered it, if anything.
---@param provider ccrelay.Provider
---@param now number
---@return { ago_ms: number, reason: string? }?
function M.last(provider, now)
  local known = last[provider.name]
  return known and { ago_ms = math.floor(now - known.at), reason = known.reason } or nil
end

return M
