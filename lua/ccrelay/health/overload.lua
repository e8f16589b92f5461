-- SPDX-License-Identifier: Apache-2.0
-- Pauses a provider that is overloaded (529, or an overloaded_error), for one class of models, as long as the provider
-- has stated, 30 s at most; else 2 s after three failures in a row, doubling up to 30 s.
local C = require 'ccrelay.c'
local breaker = require 'ccrelay.health.breaker'
local circuits = require 'ccrelay.health.circuits'
local pause = require 'ccrelay.health.pause'
local probes_of = require 'ccrelay.health.probes'

local M = {}

--- The provider has stated that it is overloaded, which is not the fault of the request.
---@param upstream ccrelay.Upstream
---@param probes ccrelay.Probes
---@param retry_after number? seconds, as stated
function M.stated(upstream, probes, retry_after)
  local number = circuits.of(upstream.key.provider, upstream.model).overload
  local probe = probes_of.take(probes, number)
  if pause.is_time(retry_after) then
    breaker.open_until(number, C.cc_now() + math.min(retry_after * 1000, pause.LONGEST_MS))
  else
    breaker.failure(number, probe, pause.RULES, C.cc_now())
  end
  probes_of.withdraw(probes)
end

--- A stream has ended with an overloaded_error.
---@param upstream ccrelay.Upstream
---@param probed boolean whether the attempt was a probe
function M.stated_in_stream(upstream, probed)
  local number = circuits.of(upstream.key.provider, upstream.model).overload
  breaker.failure(number, probed, pause.RULES, C.cc_now())
end

return M
