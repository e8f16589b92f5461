-- SPDX-License-Identifier: Apache-2.0
-- What is known of providers and keys, shared by all processes. Health puts candidates in order and leaves one
-- out only while a healthy one remains. What is learned belongs to the narrowest thing it speaks of: failures
-- and overload to a provider and a class of models, exhaustion to a key and a class, refused credentials and
-- billing to a key.
local C = require 'ccrelay.c'
local breaker = require 'ccrelay.health.breaker'
local cell = require 'ccrelay.shared.cell'
local evidence = require 'ccrelay.health.evidence'
local ffi = require 'ffi'
local model_class = require 'ccrelay.limits.model_class'
local stated_limit = require 'ccrelay.health.stated_limit'

---@class ccrelay.Circuits breakers of a provider for a class of models
---@field overload integer cell: 529
---@field failure integer cell: 5xx, no connection, time-outs, broken streams

---@alias ccrelay.Probes { cell: integer, probe: number, rules: ccrelay.BreakerRules }[]

local M = {}

local MINUTE, HOUR = 60000, 3600000
local SUSPENDED_MS = { unauthorized = 10 * MINUTE, billing = HOUR }
local LONGEST_STATED_MS = HOUR      -- until a limit is asked again, whatever the provider said
local LONGEST_OVERLOAD_MS = 30000   -- of a retry-after that comes with a 529
local COOLDOWN = { threshold = 3, first_ms = 2000, longest_ms = 30000, probes = 1 }

local UNREACHABLE, STATED = 'unreachable', 'stated'
local text = ffi.new 'char[192]'

-- ---- Breakers of a provider and of a key -------------------------------------------------------

local function new_circuits(provider, class)
  local name = provider.name .. ' ' .. class
  return { overload = cell.number('overload:' .. name), failure = cell.number('breaker:' .. name) }
end

--- The breakers of a provider for a model.
---@param provider ccrelay.Provider
---@param model string?
---@return ccrelay.Circuits
function M.circuits(provider, model)
  local class = model_class.class_of(model or '')
  local circuits = provider.circuits[class]
  if not circuits then
    circuits = new_circuits(provider, class)
    provider.circuits[class] = circuits
  end
  return circuits
end

--- The breakers of a provider for every class of models.
---@param provider ccrelay.Provider
---@return ccrelay.Circuits[]
function M.every_circuit(provider)
  local list = {}
  for index, class in ipairs(model_class.CLASSES) do
    provider.circuits[class] = provider.circuits[class] or new_circuits(provider, class)
    list[index] = provider.circuits[class]
  end
  return list
end

local rules_of = setmetatable({}, { __mode = 'k' })

-- The rules for failures, from health.circuit_breaker.
local function failure_rules(exchange)
  local settings = exchange.generation.configuration.health.circuit_breaker
  local rules = rules_of[settings]
  if not rules then
    rules = { threshold = settings.failure_threshold, first_ms = settings.open_duration_ms,
      longest_ms = settings.open_duration_ms, probes = settings.half_open_probes }
    rules_of[settings] = rules
  end
  return rules
end

-- ---- Before an attempt -------------------------------------------------------------------------

local function is_own(upstream) return upstream.credential ~= 'client' end

local function ask(list, number, rules, now, force)
  if breaker.is_closed(number) then return nil end
  local admitted, probe = breaker.admit(number, now, force)
  if not admitted then return probe end
  if probe then list[#list + 1] = { cell = number, probe = probe, rules = rules } end
end

--- Lets an attempt through the breakers of its upstream. Each that is half open lets one through at a time.
---@param exchange ccrelay.Exchange
---@param upstream ccrelay.Upstream
---@param force boolean let it through in any case: no other candidate remains
---@return ccrelay.Probes? probes those that the attempt is; nil when it is not let through
---@return number? ready the moment to ask again
function M.admit(exchange, upstream, force)
  local key, now = upstream.key, C.cc_now()
  local circuits, limit = M.circuits(key.provider, upstream.model), model_class.of(key, upstream.model).exhausted
  local list = {}
  local ready = ask(list, circuits.failure, failure_rules(exchange), now, force)
    or ask(list, circuits.overload, COOLDOWN, now, force) or is_own(upstream) and ask(list, limit, COOLDOWN, now, force)
  if not ready then return list end
  M.withdraw(list)
  return nil, ready
end

--- Whether all breakers of an upstream are closed, which they are most of the time.
---@param upstream ccrelay.Upstream
---@return boolean
function M.is_calm(upstream)
  local key = upstream.key
  local circuits = M.circuits(key.provider, upstream.model)
  return breaker.is_closed(circuits.failure) and breaker.is_closed(circuits.overload)
    and breaker.is_closed(model_class.of(key, upstream.model).exhausted)
end

--- The probes have told nothing.
---@param probes ccrelay.Probes
function M.withdraw(probes)
  for _, one in ipairs(probes) do breaker.withdraw(one.cell, one.probe) end
end

-- ---- After an attempt --------------------------------------------------------------------------

--- The attempt brought the first content of a good answer.
---@param upstream ccrelay.Upstream
---@param probes ccrelay.Probes
---@return boolean closed whether this closed the circuit that failures had opened
function M.passed(upstream, probes)
  local failure, closed = M.circuits(upstream.key.provider, upstream.model).failure, false
  for _, one in ipairs(probes) do
    if breaker.success(one.cell, one.probe, one.rules) and one.cell == failure then closed = true end
  end
  return closed
end

--- The answer went well to its end.
---@param upstream ccrelay.Upstream
function M.succeeded(exchange, upstream)
  local key = upstream.key
  local circuits, limit = M.circuits(key.provider, upstream.model), model_class.of(key, upstream.model).exhausted
  breaker.success(circuits.failure, false, failure_rules(exchange))
  breaker.success(circuits.overload, false, COOLDOWN)
  if is_own(upstream) then breaker.success(limit, false, COOLDOWN) end
end

local function probe_of(probes, number)
  for index, one in ipairs(probes) do
    if one.cell == number then return table.remove(probes, index).probe end
  end
  return false
end

-- One more failure that the request may be to blame for: it counts once, however often it comes.
local function count_once(exchange, number, rules, probe, bytes)
  if evidence.add(exchange, number, bytes) then return breaker.failure(number, probe, rules, C.cc_now()) end
  if type(probe) == 'number' then breaker.withdraw(number, probe) end
  return false
end

--- An attempt failed by the provider's fault. True when this opened the circuit.
---@param exchange ccrelay.Exchange
---@param upstream ccrelay.Upstream
---@param probes ccrelay.Probes
---@param sent boolean whether the request was sent: else it cannot be to blame
---@return boolean opened
function M.failed(exchange, upstream, probes, sent)
  local number = M.circuits(upstream.key.provider, upstream.model).failure
  local rules, probe = failure_rules(exchange), probe_of(probes, number)
  local opened
  if sent then
    opened = count_once(exchange, number, rules, probe)
  else
    opened = breaker.failure(number, probe, rules, C.cc_now())
  end
  if opened then evidence.explain(number, not sent and UNREACHABLE or nil) end
  M.withdraw(probes)
  return opened
end

-- A stated time of 0 says that it may be asked at once: then it is a failure like one without a time.
local function is_time(seconds) return seconds ~= nil and seconds > 0 end

--- The provider said it is overloaded, which is not the request's fault.
---@param upstream ccrelay.Upstream
---@param probes ccrelay.Probes
---@param retry_after number? seconds, as stated
function M.overloaded(upstream, probes, retry_after)
  local number = M.circuits(upstream.key.provider, upstream.model).overload
  local probe = probe_of(probes, number)
  if is_time(retry_after) then
    breaker.open_until(number, C.cc_now() + math.min(retry_after * 1000, LONGEST_OVERLOAD_MS))
  else
    breaker.failure(number, probe, COOLDOWN, C.cc_now())
  end
  M.withdraw(probes)
end

local function extend(number, until_ms, why)
  for _ = 1, 16 do
    local known = C.cc_cell_get(number)
    if known >= until_ms then return end
    if C.cc_cell_swap(number, known, math.floor(until_ms)) then return C.cc_cell_write(number, why, #why) end
  end
end

-- Which class is at its limit longest is shown with the key.
local function show_limit(key, limit)
  local _, ready = breaker.state(limit.exhausted, C.cc_now())
  if ready then extend(key.limited, ready, limit.class) end
end

-- Of two stated times the later one holds; either takes the place of one that the relay made up.
local function honour(number, limit, outcome, wait_ms)
  local until_ms = C.cc_now() + math.min(wait_ms, LONGEST_STATED_MS)
  if not breaker.open_until(number, until_ms, evidence.reason(number) ~= STATED) then return end
  evidence.explain(number, STATED)
  stated_limit.keep(limit.name, outcome, wait_ms)
end

--- The key has used up what it may of a class of models.
---@param exchange ccrelay.Exchange
---@param upstream ccrelay.Upstream
---@param probes ccrelay.Probes
---@param outcome ccrelay.Outcome with retry_after or reset_after, if the provider stated a time
function M.exhausted(exchange, upstream, probes, outcome)
  local key, limit = upstream.key, model_class.of(upstream.key, upstream.model)
  local number, stated = limit.exhausted, outcome.retry_after or outcome.reset_after
  local probe = probe_of(probes, number)
  if is_time(stated) then
    honour(number, limit, outcome, stated * 1000)
  elseif count_once(exchange, number, COOLDOWN, probe) then
    evidence.explain(number)
  end
  show_limit(key, limit)
  M.withdraw(probes)
end

--- Suspends a key.
---@param key ccrelay.Key
---@param reason 'unauthorized'|'billing'
---@param detail string? what the provider said, in a few words
function M.suspend(key, reason, detail)
  extend(key.suspended, C.cc_now() + SUSPENDED_MS[reason], reason .. (detail and ': ' .. detail or ''))
end

-- ---- Stream that broke -------------------------------------------------------------------------

--- A stream ended with an error, or broke, behind its first content.
---@param exchange ccrelay.Exchange
---@param upstream ccrelay.Upstream
---@param kind string type of its error event, '' without one
---@param probed boolean whether the attempt was a probe
---@param bytes number size of the request's body
function M.broke(exchange, upstream, kind, probed, bytes)
  local circuits = M.circuits(upstream.key.provider, upstream.model)
  if kind == 'overloaded_error' then
    breaker.failure(circuits.overload, probed, COOLDOWN, C.cc_now())
  elseif kind ~= 'rate_limit_error' then
    count_once(exchange, circuits.failure, failure_rules(exchange), probed, bytes)
  elseif is_own(upstream) then
    local limit = model_class.of(upstream.key, upstream.model)
    if count_once(exchange, limit.exhausted, COOLDOWN, probed, bytes) then evidence.explain(limit.exhausted) end
    show_limit(upstream.key, limit)
  end
end

-- ---- States ------------------------------------------------------------------------------------

---@alias ccrelay.UpstreamState 'ready'|'limited'|'aside'|'cooling'|'open'|'half_open'

--- The state of a provider for a model: 'ready', or why not and when it may be again.
---@param provider ccrelay.Provider
---@param model string as it is sent
---@param now number
---@return ccrelay.UpstreamState state
---@return number? ready
function M.circuit_state(provider, model, now)
  local circuits = M.circuits(provider, model)
  local overload, ready = breaker.state(circuits.overload, now)
  if ready then return 'cooling', ready end
  local failure
  failure, ready = breaker.state(circuits.failure, now)
  if failure == 'closed' then return overload == 'closed' and 'ready' or 'half_open' end
  return failure, ready
end

--- Why a key may not be used for a model, apart from its provider; nil when it may.
---@param key ccrelay.Key
---@param model string as it is sent
---@param now number
---@return ccrelay.UpstreamState? state
---@return number? ready
---@return boolean? stated the provider said so: it is not asked before
function M.key_limit(key, model, now)
  local suspended = C.cc_cell_get(key.suspended)
  if suspended > now then return 'aside', suspended end
  local number = model_class.of(key, model).exhausted
  if C.cc_cell_get(number) == 0 then return nil end
  local limit, ready = breaker.state(number, now)
  if ready then return 'limited', ready, limit == 'open' and evidence.reason(number) == STATED end
  return nil
end

--- The state of an upstream and, unless it is healthy, when it may be again.
---@param upstream ccrelay.Upstream
---@param now number
---@return ccrelay.UpstreamState state
---@return number? ready
function M.state(upstream, now)
  if is_own(upstream) then
    local state, ready = M.key_limit(upstream.key, upstream.model, now)
    if state then return state, ready end
  end
  return M.circuit_state(upstream.key.provider, upstream.model, now)
end

--- Why a key is suspended: "unauthorized" or "billing", and what the provider said.
---@param key ccrelay.Key
---@return string
function M.reason(key)
  return ffi.string(text, C.cc_cell_text(key.suspended, text, 192))
end

-- ---- Reloads, workers, connect checks ----------------------------------------------------------

local function pardon(key)
  if string.find(M.reason(key), '^unauthorized') then C.cc_cell_set(key.suspended, 0) end
end

--- Ends suspensions of keys that were refused: a reload may have cured what was wrong with them. Limits and
--- billing stay.
---@param generation ccrelay.Generation
function M.forget(generation)
  for _, provider in ipairs(generation.providers) do
    pardon(provider.keyless)
    for _, key in ipairs(provider.keys) do pardon(key) end
  end
end

--- A worker begins in a slot: the probes of the one that died there are over.
---@param slot integer
---@param generation ccrelay.Generation
function M.attach(slot, generation)
  breaker.attach(slot)
  generation:attach()
  for _, provider in ipairs(generation.providers) do
    for _, circuits in ipairs(M.every_circuit(provider)) do
      breaker.end_own_probe(circuits.failure)
      breaker.end_own_probe(circuits.overload)
    end
    for _, key in ipairs(provider.keys) do
      for _, number in ipairs(model_class.breakers(key)) do breaker.end_own_probe(number) end
    end
  end
end

--- Whether a circuit of the provider is open because it could not be connected to.
---@param provider ccrelay.Provider
---@param now number
---@return boolean
function M.is_unreachable(provider, now)
  for _, circuits in ipairs(M.every_circuit(provider)) do
    local state = breaker.state(circuits.failure, now)
    if state == 'open' and evidence.reason(circuits.failure) == UNREACHABLE then return true end
  end
  return false
end

--- The provider takes connections: requests may try it now. False when no circuit waited for that.
---@param provider ccrelay.Provider
---@param now number
---@return boolean
function M.reachable(provider, now)
  local any = false
  for _, circuits in ipairs(M.every_circuit(provider)) do
    local number = circuits.failure
    if breaker.state(number, now) == 'open' and evidence.reason(number) == UNREACHABLE then
      any = breaker.end_wait(number, now) or any
    end
  end
  return any
end

return M
