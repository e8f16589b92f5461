-- SPDX-License-Identifier: Apache-2.0
-- Updates health from attempts: from the outcome of each, and from how the answer to the client ended.
local C = require 'ccrelay.c'
local circuits = require 'ccrelay.health.circuits'
local cooldown = require 'ccrelay.health.cooldown'
local error_codes = require 'ccrelay.util.error_codes'
local evidence = require 'ccrelay.health.evidence'
local health = require 'ccrelay.health'
local overload = require 'ccrelay.health.overload'
local probes_of = require 'ccrelay.health.probes'
local slice = require 'ccrelay.util.slice'
local suspension = require 'ccrelay.health.suspension'
local unknown_models = require 'ccrelay.health.unknown_models'

local M = {}

-- Errors at the end of an answer that are not the provider's fault.
local INNOCENT = { [C.CC_OK] = true, [C.CC_EWRITE_TIMEOUT] = true, [C.CC_ECONTENT_TIMEOUT] = true }

local function is_innocent(code) return INNOCENT[code] or error_codes.is_neutral(code) end

--- Asks the breakers of an upstream to let an attempt through, as a probe where one is half open.
---@param exchange ccrelay.Exchange
---@param attempt ccrelay.Attempt
---@param force boolean let it through in any case
---@return number? ready moment (cc_now) to ask again; nil: the attempt may begin
function M.take_probes(exchange, attempt, force)
  if health.is_calm(attempt.upstream) then return nil end
  local probes, ready = health.admit(exchange, attempt.upstream, force)
  if not probes then return ready end
  attempt.probes, attempt.probed = probes, #probes > 0
  return nil
end

--- Withdraws the probes of an attempt that says nothing about health.
---@param attempt ccrelay.Attempt
function M.withdraw(attempt)
  if attempt.probes then probes_of.withdraw(attempt.probes) end
  attempt.probes = false
end

-- ---- Outcomes ----------------------------------------------------------------------------------

local by_verdict = {}

function by_verdict.good(exchange, attempt, outcome, probes)
  if not outcome.ok then return M.withdraw(attempt) end
  if health.passed(attempt.upstream, probes) then
    exchange.generation.logger:line('info', 'circuit closed', { 'provider', attempt.key.provider.name })
  end
end

function by_verdict.failed(exchange, attempt, outcome, probes)
  if health.failed(exchange, attempt.upstream, probes, outcome.sent) then
    exchange.generation.logger:line('warn', 'circuit opened', { 'provider', attempt.key.provider.name })
  end
end

function by_verdict.overloaded(_, attempt, outcome, probes)
  overload.stated(attempt.upstream, probes, outcome.retry_after)
end

function by_verdict.exhausted(exchange, attempt, outcome, probes)
  cooldown.exhausted(exchange, attempt.upstream, probes, outcome)
end

function by_verdict.no_model(_, attempt)
  M.withdraw(attempt)
  unknown_models.add(attempt.upstream)
end

local function suspend(reason)
  return function(exchange, attempt, outcome)
    M.withdraw(attempt)
    local detail = outcome.account_fault or outcome.type
    suspension.suspend(attempt.key, reason, detail)
    exchange.generation.logger:line('warn', 'key suspended',
      { 'key', attempt.key.id, 'status', outcome.status, 'reason', detail })
  end
end

by_verdict.refused, by_verdict.spent = suspend 'unauthorized', suspend 'billing'

-- What a provider says about a client's own credential applies to that client only, so nothing is learned from it.
local OF_KEYS = { exhausted = true, refused = true, spent = true, no_model = true }
local OF_PROVIDERS = { failed = true, overloaded = true }

local function give_up(exchange, upstream)
  local given_up = exchange.given_up or {}
  given_up[circuits.of(upstream.key.provider, upstream.model)] = true
  exchange.given_up = given_up
end

--- Whether the provider of an upstream has failed in this exchange, so that its other keys would fail too.
---@param exchange ccrelay.Exchange
---@param upstream ccrelay.Upstream
---@return boolean
function M.is_given_up(exchange, upstream)
  local given_up = exchange.given_up
  return given_up and given_up[circuits.of(upstream.key.provider, upstream.model)] or false
end

-- ---- Requests that are repeated at once --------------------------------------------------------

local AT_ONCE_MS = 300 -- clients that back off wait longer
local MOST = 256       -- requests remembered

local failed_at, requests = {}, 0 -- by the request's digest: when it failed last, by key

local function remember(exchange, key)
  local digest = exchange.evidence and exchange.evidence.digest
  if not digest then return end
  if not failed_at[digest] then
    if requests >= MOST then failed_at, requests = {}, 0 end
    failed_at[digest], requests = {}, requests + 1
  end
  failed_at[digest][key.name] = C.cc_now()
end

--- Whether the same request failed at an upstream a moment ago. It matters once an exchange has failed elsewhere: if
--- all upstreams are down, a client that repeats its request at once gets one attempt, not one at every upstream.
---@param exchange ccrelay.Exchange
---@param upstream ccrelay.Upstream
---@return boolean
function M.has_just_failed(exchange, upstream)
  local known = exchange.evidence and failed_at[exchange.evidence.digest]
  local at = known and known[upstream.key.name]
  return at and C.cc_now() - at < AT_ONCE_MS or false
end

--- Learns from the outcome of an attempt.
---@param exchange ccrelay.Exchange
---@param attempt ccrelay.Attempt
---@param outcome ccrelay.Outcome
function M.from_outcome(exchange, attempt, outcome)
  local verdict = outcome.verdict
  if OF_PROVIDERS[verdict] then give_up(exchange, attempt.upstream) end
  if verdict == 'good' and not attempt.probes then return end
  local learn = by_verdict[verdict]
  if not learn or OF_KEYS[verdict] and attempt.upstream.credential == 'client' then return M.withdraw(attempt) end
  learn(exchange, attempt, outcome, attempt.probes or {})
  attempt.probes = false
  remember(exchange, attempt.key)
end

-- ---- Ends of answers ---------------------------------------------------------------------------

--- Learns from how the answer of an attempt ended.
---@param exchange ccrelay.Exchange
---@param attempt ccrelay.Attempt that the client's answer came from
---@param report ffi.cdata* struct cc_report
function M.from_end(exchange, attempt, report)
  local kind = slice.text(report.stream_error)
  local is_failure = kind == 'overloaded_error' or kind == 'rate_limit_error' or kind == 'api_error'
  if is_failure or not is_innocent(report.error) then
    health.broke(exchange, attempt.upstream, kind, attempt.probed, report.request_bytes)
  elseif report.error == C.CC_OK and report.status < 300 then
    health.succeeded(exchange, attempt.upstream)
    evidence.drop(exchange)
  end
end

return M
