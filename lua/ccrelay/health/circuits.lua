-- SPDX-License-Identifier: Apache-2.0
-- The circuits of providers: one breaker for failures and one for overload, for each class of models. All processes
-- share them.
local breaker = require 'ccrelay.health.breaker'
local cell = require 'ccrelay.shared.cell'
local evidence = require 'ccrelay.health.evidence'
local model_class = require 'ccrelay.limits.model_class'

---@class ccrelay.Circuits breakers of a provider for a class of models
---@field overload integer cell: 529
---@field failure integer cell: 5xx, no connection, time-outs, broken streams

---@alias ccrelay.UpstreamState 'ready'|'limited'|'aside'|'cooling'|'open'|'half_open'

local M = {}

--- The reason of a circuit that is open because no connection could be made.
M.UNREACHABLE = 'unreachable'

local function new_circuits(provider, class)
  local name = provider.name .. ' ' .. class
  return { overload = cell.number('overload:' .. name), failure = cell.number('breaker:' .. name) }
end

--- Returns the breakers of a provider for a model.
---@param provider ccrelay.Provider
---@param model string?
---@return ccrelay.Circuits
function M.of(provider, model)
  local class = model_class.class_of(model or '')
  local circuits = provider.circuits[class]
  if not circuits then
    circuits = new_circuits(provider, class)
    provider.circuits[class] = circuits
  end
  return circuits
end

--- Returns the breakers of a provider for every class of models.
---@param provider ccrelay.Provider
---@return ccrelay.Circuits[]
function M.every(provider)
  local list = {}
  for index, class in ipairs(model_class.CLASSES) do
    provider.circuits[class] = provider.circuits[class] or new_circuits(provider, class)
    list[index] = provider.circuits[class]
  end
  return list
end

local rules_of = setmetatable({}, { __mode = 'k' })

--- Returns the rules for failures, from health.circuit_breaker of the configuration.
---@param exchange ccrelay.Exchange
---@return ccrelay.BreakerRules
function M.failure_rules(exchange)
  local settings = exchange.generation.configuration.health.circuit_breaker
  local rules = rules_of[settings]
  if not rules then
    rules = { threshold = settings.failure_threshold, first_ms = settings.open_duration_ms,
      longest_ms = settings.open_duration_ms, probes = settings.half_open_probes }
    rules_of[settings] = rules
  end
  return rules
end

--- Returns the state of a provider for a model, and the moment (cc_now) at which it may be ready again.
---@param provider ccrelay.Provider
---@param model string as it is sent
---@param now number
---@return ccrelay.UpstreamState state
---@return number? ready
function M.state(provider, model, now)
  local circuits = M.of(provider, model)
  local overload, ready = breaker.state(circuits.overload, now)
  if ready then return 'cooling', ready end
  local failure
  failure, ready = breaker.state(circuits.failure, now)
  if failure == 'closed' then return overload == 'closed' and 'ready' or 'half_open' end
  return failure, ready
end

--- Tells whether a circuit of the provider is open because no connection could be made.
---@param provider ccrelay.Provider
---@param now number
---@return boolean
function M.is_unreachable(provider, now)
  for _, circuits in ipairs(M.every(provider)) do
    local state = breaker.state(circuits.failure, now)
    if state == 'open' and evidence.reason(circuits.failure) == M.UNREACHABLE then return true end
  end
  return false
end

--- The provider accepts connections again: circuits that are open because none could be made let a request through now.
--- Returns false if there are no such circuits.
---@param provider ccrelay.Provider
---@param now number
---@return boolean
function M.reachable(provider, now)
  local any = false
  for _, circuits in ipairs(M.every(provider)) do
    local number = circuits.failure
    if breaker.state(number, now) == 'open' and evidence.reason(number) == M.UNREACHABLE then
      any = breaker.end_wait(number, now) or any
    end
  end
  return any
end

return M
