-- SPDX-License-Identifier: Apache-2.0
-- The health of providers and keys, shared by all processes. Health puts candidates in order; it leaves one out only
-- while a healthy one remains. What is learned applies to the narrowest subject: failures and overload to a provider
-- and a class of models (circuits, overload), a used-up limit to a key and a class (cooldown), a credential that is not
-- accepted and an unpaid account to a key (suspension).
local C = require 'ccrelay.c'
local breaker = require 'ccrelay.health.breaker'
local circuits = require 'ccrelay.health.circuits'
local cooldown = require 'ccrelay.health.cooldown'
local evidence = require 'ccrelay.health.evidence'
local model_class = require 'ccrelay.limits.model_class'
local overload = require 'ccrelay.health.overload'
local pause = require 'ccrelay.health.pause'
local probes_of = require 'ccrelay.health.probes'
local suspension = require 'ccrelay.health.suspension'

local M = {}

-- ---- Before an attempt -------------------------------------------------------------------------

local function is_own(upstream) return upstream.credential ~= 'client' end

-- The breakers of an upstream: those of its provider, and that of its key's limit.
local function breakers_of(upstream)
  local key, model = upstream.key, upstream.model
  return circuits.of(key.provider, model), model_class.of(key, model).exhausted
end

--- Asks the breakers of an upstream to let an attempt through. A half-open breaker lets one through at a time.
---@param exchange ccrelay.Exchange
---@param upstream ccrelay.Upstream
---@param force boolean let it through in any case, as no other candidate remains
---@return ccrelay.Probes? probes the breakers that the attempt is a probe of; nil: it is not let through
---@return number? ready moment (cc_now) to ask again
function M.admit(exchange, upstream, force)
  local of_provider, limit = breakers_of(upstream)
  local list, now = {}, C.cc_now()
  local ready = probes_of.ask(list, of_provider.failure, circuits.failure_rules(exchange), now, force)
    or probes_of.ask(list, of_provider.overload, pause.RULES, now, force)
    or is_own(upstream) and probes_of.ask(list, limit, pause.RULES, now, force)
  if not ready then return list end
  probes_of.withdraw(list)
  return nil, ready
end

--- Tells whether all breakers of an upstream are closed.
---@param upstream ccrelay.Upstream
---@return boolean
function M.is_calm(upstream)
  local of_provider, limit = breakers_of(upstream)
  return breaker.is_closed(of_provider.failure) and breaker.is_closed(of_provider.overload)
    and breaker.is_closed(limit)
end

-- ---- After an attempt --------------------------------------------------------------------------

--- An attempt has brought the first content of a good answer.
---@param upstream ccrelay.Upstream
---@param probes ccrelay.Probes
---@return boolean closed whether this closed the circuit for failures
function M.passed(upstream, probes)
  local failure, closed = circuits.of(upstream.key.provider, upstream.model).failure, false
  for _, one in ipairs(probes) do
    if breaker.success(one.cell, one.probe, one.rules) and one.cell == failure then closed = true end
  end
  return closed
end

--- An answer has ended well.
---@param exchange ccrelay.Exchange
---@param upstream ccrelay.Upstream
function M.succeeded(exchange, upstream)
  local of_provider, limit = breakers_of(upstream)
  breaker.success(of_provider.failure, false, circuits.failure_rules(exchange))
  breaker.success(of_provider.overload, false, pause.RULES)
  if is_own(upstream) then breaker.success(limit, false, pause.RULES) end
end

--- An attempt has failed, and the provider is to blame.
---@param exchange ccrelay.Exchange
---@param upstream ccrelay.Upstream
---@param probes ccrelay.Probes
---@param sent boolean whether the request was sent; if not, it cannot be the cause
---@return boolean opened whether this opened the circuit
function M.failed(exchange, upstream, probes, sent)
  local number = circuits.of(upstream.key.provider, upstream.model).failure
  local rules, probe = circuits.failure_rules(exchange), probes_of.take(probes, number)
  local opened
  if sent then
    opened = evidence.count(exchange, number, rules, probe)
  else
    opened = breaker.failure(number, probe, rules, C.cc_now())
  end
  if opened then evidence.explain(number, not sent and circuits.UNREACHABLE or nil) end
  probes_of.withdraw(probes)
  return opened
end

-- ---- Streams that break off --------------------------------------------------------------------

--- A stream has ended with an error event, or broken off, after its first content.
---@param exchange ccrelay.Exchange
---@param upstream ccrelay.Upstream
---@param kind string error type of the event; '' without one
---@param probed boolean whether the attempt was a probe
---@param bytes number size of the request's body
function M.broke(exchange, upstream, kind, probed, bytes)
  local of_provider = breakers_of(upstream)
  if kind == 'overloaded_error' then
    overload.stated_in_stream(upstream, probed)
  elseif kind ~= 'rate_limit_error' then
    evidence.count(exchange, of_provider.failure, circuits.failure_rules(exchange), probed, bytes)
  elseif is_own(upstream) then
    cooldown.exhausted_in_stream(exchange, upstream, probed, bytes)
  end
end

-- ---- States ------------------------------------------------------------------------------------

--- Returns why a key must not be used for a model, whatever the state of its provider; nil if it may be used.
---@param key ccrelay.Key
---@param model string as it is sent
---@param now number
---@return ccrelay.UpstreamState? state
---@return number? ready
---@return boolean? stated whether the provider has stated that moment: the key is not tried before
function M.key_limit(key, model, now)
  local suspended = suspension.ends(key, now)
  if suspended then return 'aside', suspended end
  local ready, stated = cooldown.limit(key, model, now)
  if ready then return 'limited', ready, stated end
  return nil
end

--- Returns the state of an upstream, and the moment (cc_now) at which it may be ready again.
---@param upstream ccrelay.Upstream
---@param now number
---@return ccrelay.UpstreamState state
---@return number? ready
function M.state(upstream, now)
  if is_own(upstream) then
    local state, ready = M.key_limit(upstream.key, upstream.model, now)
    if state then return state, ready end
  end
  return circuits.state(upstream.key.provider, upstream.model, now)
end

-- ---- Workers -----------------------------------------------------------------------------------

--- A worker starts in a slot: the probes of the worker that died there are over.
---@param slot integer
---@param generation ccrelay.Generation
function M.attach(slot, generation)
  breaker.attach(slot)
  generation:attach()
  for _, provider in ipairs(generation.providers) do
    for _, pair in ipairs(circuits.every(provider)) do
      breaker.end_own_probe(pair.failure)
      breaker.end_own_probe(pair.overload)
    end
    for _, key in ipairs(provider.keys) do
      for _, number in ipairs(model_class.breakers(key)) do breaker.end_own_probe(number) end
    end
  end
end

return M
