-- SPDX-License-Identifier: Apache-2.0
-- Counts an exchange that has ended, in the counters of /metrics and /status, over all workers.
local cell = require 'ccrelay.shared.cell'

local M = {}

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

local function add_attempts(exchange)
  for _, outcome in ipairs(exchange.outcomes) do
    local name = names_of(outcome.upstream.provider)
    cell.add(name.attempts, 1)
    if not outcome.ok then cell.add(name.failures, 1) end
  end
  for _, loser in ipairs(exchange.losers or {}) do cell.add(names_of(loser.upstream.provider).attempts, 1) end
end

local function add_usage(usage, provider)
  local name = names_of(provider)
  cell.add(name.tokens_input, usage.input + usage.cache_5m + usage.cache_1h)
  cell.add(name.tokens_cached, usage.cache_read)
  cell.add(name.tokens_output, usage.output)
end

--- Counts an exchange.
---@param exchange ccrelay.Exchange
---@param report ffi.cdata* struct cc_report
---@param provider string? name of the provider whose answer the client got
function M.add(exchange, report, provider)
  cell.add('count:exchanges', 1)
  cell.add(STATUS[math.floor(report.status / 100)] or 'count:status_none', 1)
  cell.add('count:attempts', report.attempts)
  local notes = exchange.log
  if notes and notes.refused then cell.add('count:refused', 1) end
  if notes and notes.malformed then cell.add('count:malformed', 1) end
  add_attempts(exchange)
  if provider and report.usage_known then add_usage(report.usage, provider) end
end

return M
