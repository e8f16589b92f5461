-- SPDX-License-Identifier: Apache-2.0
-- Figures of all processes in the text format of Prometheus (exposition format 0.0.4).
local ffi = require 'ffi'
local C = require 'ccrelay.c'

local M = {}

M.TYPE = 'text/plain; version=0.0.4; charset=utf-8'

local HELP = {
  exchanges = 'client requests that have ended',
  attempts = 'tries at upstreams',
  queued = 'requests that waited for room in limits',
  refused = 'requests without an upstream that could take them',
  policies_put_aside = 'policies that failed too often and were put aside',
  shared_counts = 'token counts answered by what another request asked',
  script_errors = 'errors of policies and adapters',
  status = 'answers by class of their status',
  provider_attempts = 'tries at a provider',
  provider_failures = 'tries at a provider that came to nothing',
  provider_probes = 'connections to see whether a provider is back',
  provider_probe_failures = 'of them those that could not be made',
  provider_tokens = 'tokens as the provider counted them',
}

-- A counter's name as metric and labels: status_2xx, attempts:zai, tokens_input:zai, exchanges.
local function metric_of(name)
  local class = string.match(name, '^status_(%w+)$')
  if class then return 'status', ('{class="%s"}'):format(class) end
  local what, provider = string.match(name, '^([%w_]+):(.+)$')
  if not what then return name, '' end
  local label = string.gsub(provider, '[\\"\n]', { ['\\'] = '\\\\', ['"'] = '\\"', ['\n'] = '\\n' })
  local kind = string.match(what, '^tokens_(%w+)$')
  if kind then return 'provider_tokens', ('{provider="%s",kind="%s"}'):format(label, kind) end
  return 'provider_' .. what, ('{provider="%s"}'):format(label)
end

local function families(counters)
  local found, names = {}, {}
  for name, value in pairs(counters) do
    local metric, labels = metric_of(name)
    if not found[metric] then
      found[metric], names[#names + 1] = {}, metric
    end
    table.insert(found[metric], ('ccrelay_%s_total%s %d'):format(metric, labels, value))
  end
  table.sort(names)
  return found, names
end

--- All counters, by name.
---@return table<string, number>
function M.counters()
  local all, name = {}, ffi.new 'struct cc_slice'
  for number = 0, C.cc_cells() - 1 do
    if C.cc_cell_name(number, name) == C.CC_OK then
      local short = ffi.string(name.data, name.size):match '^count:(.+)$'
      if short then all[short] = C.cc_cell_get(number) end
    end
  end
  return all
end

--- The text of counters, and of gauges given by name.
---@param counters table<string, number>
---@param gauges { name: string, help: string, value: number }[]
---@return string
function M.text(counters, gauges)
  local lines = {}
  local found, names = families(counters)
  for _, metric in ipairs(names) do
    if HELP[metric] then lines[#lines + 1] = ('# HELP ccrelay_%s_total %s'):format(metric, HELP[metric]) end
    lines[#lines + 1] = ('# TYPE ccrelay_%s_total counter'):format(metric)
    table.sort(found[metric])
    for _, line in ipairs(found[metric]) do lines[#lines + 1] = line end
  end
  for _, gauge in ipairs(gauges) do
    lines[#lines + 1] = ('# HELP ccrelay_%s %s'):format(gauge.name, gauge.help)
    lines[#lines + 1] = ('# TYPE ccrelay_%s gauge'):format(gauge.name)
    lines[#lines + 1] = ('ccrelay_%s %d'):format(gauge.name, gauge.value)
  end
  return table.concat(lines, '\n') .. '\n'
end

return M
