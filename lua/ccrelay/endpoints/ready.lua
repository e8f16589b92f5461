-- SPDX-License-Identifier: Apache-2.0
-- GET|HEAD /health/ready: 200 while new requests should be sent here; 503 while the relay drains, or while no provider
-- can serve. Load balancers ask it, without a key, so the answer names no provider.
local C = require 'ccrelay.c'
local candidates = require 'ccrelay.routing.candidates'
local overview = require 'ccrelay.health.overview'
local respond = require 'ccrelay.exchange.respond'

local M = {}

local MAY_SERVE = { ready = true, half_open = true }

local draining = false

--- The process drains, or (false) no longer does: from now on it is not ready.
---@param value boolean
function M.set_draining(value)
  draining = value
end

-- Keys, and for clients with credentials of their own the provider without a key.
local function may_serve(provider, now)
  if not candidates.is_usable(provider) then return false end
  for _, key in ipairs(provider.keys) do
    if MAY_SERVE[overview.key_state(key, now)] then return true end
  end
  local keyless = #provider.keys == 0 or provider.transparent
  return keyless and MAY_SERVE[overview.key_state(provider.keyless, now)] or false
end

local function reason(exchange)
  if draining then return 'the relay is stopping and takes no new requests' end
  local now = C.cc_now()
  for _, provider in ipairs(exchange.generation.providers) do
    if may_serve(provider, now) then return nil end
  end
  return 'no provider can serve now; /status on the admin listener tells why'
end

---@param exchange ccrelay.Exchange
function M.serve(exchange)
  local message = reason(exchange)
  if message then return respond.error(exchange, 503, message, { failure = 'not_ready' }) end
  respond.json(exchange, { status = 'ready' })
end

return M
