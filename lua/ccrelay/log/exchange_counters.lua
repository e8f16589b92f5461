-- SPDX-License-Identifier: Apache-2.0
-- Counts an exchange that has ended, in the counters and histograms of /metrics and /status, over all workers.
local C = require 'ccrelay.c'
local access = require 'ccrelay.log.access'
local api_error = require 'ccrelay.util.api_error'
local cell = require 'ccrelay.shared.cell'
local error_codes = require 'ccrelay.util.error_codes'
local histograms = require 'ccrelay.log.histograms'
local labels = require 'ccrelay.log.labels'
local series = require 'ccrelay.log.series'
local slice = require 'ccrelay.util.slice'

local M = {}

local BILLION = 1e9
local NONE, UNNAMED = 'none', 'unnamed'

local STATUS = {}
for class = 1, 9 do STATUS[class] = 'count:status_' .. class .. 'xx' end

local names = {}

-- The names of a provider's counters, built once.
local function names_of(provider)
  local found = names[provider]
  if not found then
    found = {}
    for _, name in ipairs { 'attempts', 'failures', 'tokens_input', 'tokens_cached', 'tokens_output' } do
      found[name] = 'count:' .. name .. ':' .. provider
    end
    names[provider] = found
  end
  return found
end

local requests = series.new('requests_total', { 'endpoint', 'outcome', 'cause' })
local model_requests = series.new('model_requests_total', { 'provider', 'model', 'outcome' })
local client_requests = series.new('client_requests_total', { 'client', 'outcome' })
local key_attempts = series.new('key_attempts_total', { 'provider', 'key' })
local key_failures = series.new('key_failures_total', { 'provider', 'key', 'cause' })
local model_tokens = series.new('model_tokens_total', { 'provider', 'model', 'kind' })
local client_tokens = series.new('client_tokens_total', { 'client', 'kind' })
local costs = series.new('cost_total', { 'provider', 'model' })
local client_costs = series.new('client_cost_total', { 'client' })
local costs_unknown = series.new('cost_unknown_total', { 'provider', 'model' })

-- ---- Outcomes ----------------------------------------------------------------------------------

--- Returns how an exchange ended: "ok"; "broken" (the answer broke off); "cancelled" (by the client, or because the
--- relay stopped); "limited" (429); "rejected" (another 4xx); "failed" (5xx, or no answer).
---@param report ffi.cdata* struct cc_report
---@return string
function M.outcome(report)
  local status, code = report.status, report.error
  if code ~= C.CC_OK and error_codes.is_by_client(code) then return 'cancelled' end
  if status >= 200 and status < 400 then
    return code == C.CC_OK and report.stream_error.size == 0 and 'ok' or 'broken'
  end
  if status == 429 then return 'limited' end
  return status >= 400 and status < 500 and 'rejected' or 'failed'
end

-- Names of the relay and of the Messages API always take a place, those that an upstream made up only some.
local function name_in(label, name, is_told)
  if is_told and not api_error.is_defined(name) then return labels.of_any(label, name) end
  return labels.of(label, name, true)
end

local function cause_of(exchange, report, outcome)
  if outcome == 'ok' then return NONE end
  local name, last = access.error_of(exchange, report), exchange.outcomes[#exchange.outcomes]
  if not name then return labels.of('cause', tostring(report.status), true) end
  return name_in('cause', name, last and name == last.type or name == slice.text(report.stream_error))
end

-- ---- Attempts ----------------------------------------------------------------------------------

local function add_failure(upstream, outcome)
  local cause = outcome.event and outcome.type or outcome.error or outcome.status
  key_failures:add(1, upstream.provider, upstream.key_id, name_in('failure', tostring(cause), outcome.event))
end

local function add_attempt(upstream)
  cell.add(names_of(upstream.provider).attempts, 1)
  key_attempts:add(1, upstream.provider, upstream.key_id)
end

local function add_attempts(exchange)
  for _, outcome in ipairs(exchange.outcomes) do
    local upstream = outcome.upstream
    add_attempt(upstream)
    if not outcome.ok then
      cell.add(names_of(upstream.provider).failures, 1)
      add_failure(upstream, outcome)
    end
  end
  for _, loser in ipairs(exchange.losers or {}) do add_attempt(loser.upstream) end
end

-- ---- Tokens and cost ---------------------------------------------------------------------------

local function add_tokens(kind, tokens, provider, model, client)
  if tokens <= 0 then return end
  model_tokens:add(tokens, provider, model, kind)
  client_tokens:add(tokens, client, kind)
end

local function add_provider_usage(usage, provider)
  local name = names_of(provider)
  cell.add(name.tokens_input, usage.input + usage.cache_5m + usage.cache_1h)
  cell.add(name.tokens_cached, usage.cache_read)
  cell.add(name.tokens_output, usage.output)
end

local function add_usage(usage, provider, model, client)
  add_tokens('input', usage.input, provider, model, client)
  add_tokens('output', usage.output, provider, model, client)
  add_tokens('cache_read', usage.cache_read, provider, model, client)
  add_tokens('cache_write_5m', usage.cache_5m, provider, model, client)
  add_tokens('cache_write_1h', usage.cache_1h, provider, model, client)
end

local function add_cost(cost, provider, model, client)
  if not cost then return costs_unknown:add(1, provider, model) end
  local whole = math.floor(cost * BILLION + 0.5)
  costs:add(whole, provider, model)
  client_costs:add(whole, client)
end

-- ---- Times -------------------------------------------------------------------------------------

local function add_times(exchange, report, provider)
  histograms.add('request_duration', provider, report.total_ms)
  if report.content_ms <= 0 then return end
  if report.stream then histograms.add('first_event', provider, report.content_ms) end
  local queue = exchange.queue
  if report.attempts == 1 and not (queue and queue.waited_ms > 0) then
    histograms.add('added_latency', provider, report.own_ms)
  end
end

-- ---- An exchange -------------------------------------------------------------------------------

local function client_of(exchange)
  local name = exchange.client.name
  return name and labels.of('client', name, true) or UNNAMED
end

-- A model gets a place of its own when it is answered first, so that mistyped names take none.
local function model_of(exchange, outcome)
  local model = exchange.cache.original_model or exchange.cache.model
  return model and labels.of('model', model, outcome == 'ok', exchange.generation.logger.clean) or NONE
end

local function add_message(exchange, report, outcome, provider, cost)
  local client, model = client_of(exchange), model_of(exchange, outcome)
  model_requests:add(1, provider or NONE, model, outcome)
  client_requests:add(1, client, outcome)
  add_times(exchange, report, provider or NONE)
  if not provider then return end
  if report.usage_known then add_usage(report.usage, provider, model, client) end
  if report.status < 400 then add_cost(cost, provider, model, client) end
end

--- Counts an exchange.
---@param exchange ccrelay.Exchange
---@param report ffi.cdata* struct cc_report
---@param provider string? name of the provider whose answer the client got
---@param cost number? in the currency of routing.prices; nil: unknown
function M.add(exchange, report, provider, cost)
  local outcome = M.outcome(report)
  cell.add('count:exchanges', 1)
  cell.add(STATUS[math.floor(report.status / 100)] or 'count:status_none', 1)
  cell.add('count:attempts', report.attempts)
  requests:add(1, exchange.endpoint or 'other', outcome, cause_of(exchange, report, outcome))
  local notes = exchange.log
  if notes and notes.refused then cell.add('count:refused', 1) end
  if notes and notes.malformed then cell.add('count:malformed', 1) end
  add_attempts(exchange)
  if provider and report.usage_known then add_provider_usage(report.usage, provider) end
  if exchange.endpoint == 'messages' then add_message(exchange, report, outcome, provider, cost) end
end

return M
