-- SPDX-License-Identifier: Apache-2.0
-- Pauses a key that has used up a limit (429), for one class of models, as long as the provider has stated; else 2 s
-- after three failures in a row, doubling up to 30 s.
local C = require 'ccrelay.c'
local breaker = require 'ccrelay.health.breaker'
local cell = require 'ccrelay.shared.cell'
local evidence = require 'ccrelay.health.evidence'
local model_class = require 'ccrelay.limits.model_class'
local pause = require 'ccrelay.health.pause'
local probes_of = require 'ccrelay.health.probes'
local stated_limit = require 'ccrelay.health.stated_limit'

local M = {}

local LONGEST_STATED_MS = 3600000 -- after which a key is tried again, whatever the provider has stated
local STATED = 'stated'

-- /status shows for a key the class of models whose limit ends last.
local function show_limit(key, limit)
  local _, ready = breaker.state(limit.exhausted, C.cc_now())
  if ready then cell.extend(key.limited, ready, limit.class) end
end

-- Of two stated times the later one counts. A stated time replaces one that the relay chose.
local function apply_stated(number, limit, outcome, wait_ms)
  local until_ms = C.cc_now() + math.min(wait_ms, LONGEST_STATED_MS)
  if not breaker.open_until(number, until_ms, evidence.reason(number) ~= STATED) then return end
  evidence.explain(number, STATED)
  stated_limit.keep(limit.name, outcome, wait_ms)
end

--- The key has used up its limit for a class of models.
---@param exchange ccrelay.Exchange
---@param upstream ccrelay.Upstream
---@param probes ccrelay.Probes
---@param outcome ccrelay.Outcome with retry_after or reset_after, if the provider has stated a time
function M.exhausted(exchange, upstream, probes, outcome)
  local key, limit = upstream.key, model_class.of(upstream.key, upstream.model)
  local number, stated = limit.exhausted, outcome.retry_after or outcome.reset_after
  local probe = probes_of.take(probes, number)
  if pause.is_time(stated) then
    apply_stated(number, limit, outcome, stated * 1000)
  elseif evidence.count(exchange, number, pause.RULES, probe) then
    evidence.explain(number)
  end
  show_limit(key, limit)
  probes_of.withdraw(probes)
end

--- A stream has ended with the error event that the key has used up its limit.
---@param exchange ccrelay.Exchange
---@param upstream ccrelay.Upstream
---@param probed boolean whether the attempt was a probe
---@param bytes number size of the request's body
function M.exhausted_in_stream(exchange, upstream, probed, bytes)
  local limit = model_class.of(upstream.key, upstream.model)
  local number = limit.exhausted
  if evidence.count(exchange, number, pause.RULES, probed, bytes) then evidence.explain(number) end
  show_limit(upstream.key, limit)
end

--- Returns whether a key is at its limit for a model.
---@param key ccrelay.Key
---@param model string as it is sent
---@param now number
---@return number? ready moment (cc_now) at which it may be tried again; nil: it is not at its limit
---@return boolean? stated whether the provider has stated that moment: the key is not tried before
function M.limit(key, model, now)
  local number = model_class.of(key, model).exhausted
  if C.cc_cell_get(number) == 0 then return nil end
  local state, ready = breaker.state(number, now)
  if not ready then return nil end
  return ready, state == 'open' and evidence.reason(number) == STATED
end

return M
