-- SPDX-License-Identifier: Apache-2.0
-- Writes the metrics of all processes in the text format of Prometheus (exposition format 0.0.4).
local each = require 'ccrelay.util.each'
local ffi = require 'ffi'
local C = require 'ccrelay.c'
local slice = require 'ccrelay.util.slice'

local M = {}

M.TYPE = 'text/plain; version=0.0.4; charset=utf-8'

local HELP = {
  exchanges = 'client requests that have ended',
  attempts = 'attempts at upstreams',
  queued = 'requests that waited for room in limits',
  refused = 'requests that no upstream could take: none serves them, or all are limited or suspended',
  malformed = 'requests that could not be read: faulty or too large, or too slow to arrive',
  policies_put_aside = 'policies that failed too often and were replaced',
  shared_counts = 'token counts answered with the result of another request',
  script_errors = 'errors of policies and adapters',
  status = 'answers by class of their status',
  provider_attempts = 'attempts at a provider',
  provider_failures = 'failed attempts at a provider',
  provider_probes = 'connections made to check whether a provider is reachable again',
  provider_probe_failures = 'such connections that failed',
  provider_tokens = 'tokens as the provider counted them',
}

--- Escapes a text for the value of a label.
---@param text string
---@return string
function M.label(text)
  return (string.gsub(text, '[\\"\n]', { ['\\'] = '\\\\', ['"'] = '\\"', ['\n'] = '\\n' }))
end

-- Splits a counter's name into metric and labels. Names are: status_2xx, attempts:zai, tokens_input:zai, exchanges.
local function metric_of(name)
  local class = string.match(name, '^status_(%w+)$')
  if class then return 'status', ('{class="%s"}'):format(class) end
  local what, provider = string.match(name, '^([%w_]+):(.+)$')
  if not what then return name, '' end
  local label = M.label(provider)
  local kind = string.match(what, '^tokens_(%w+)$')
  if kind then return 'provider_tokens', ('{provider="%s",kind="%s"}'):format(label, kind) end
  return 'provider_' .. what, ('{provider="%s"}'):format(label)
end

local function families(counters)
  local found, names = {}, {}
  for name, value in each(counters) do
    local metric, labels = metric_of(name)
    if not found[metric] then
      found[metric], names[#names + 1] = {}, metric
    end
    table.insert(found[metric], ('ccrelay_%s_total%s %d'):format(metric, labels, value))
  end
  table.sort(names)
  return found, names
end

--- Returns all counters by name.
---@return table<string, number>
function M.counters()
  local all, name = {}, ffi.new 'struct cc_slice'
  for number = 0, C.cc_cells() - 1 do
    if C.cc_cell_name(number, name) == C.CC_OK then
      local short = slice.text(name):match '^count:(.+)$'
      if short then all[short] = C.cc_cell_get(number) end
    end
  end
  return all
end

---@class ccrelay.Gauge
---@field name string
---@field help string
---@field value number? of a gauge without a label
---@field by string? name of the label
---@field values { label: string, value: number }[]? of a gauge with a label

local function add_gauge(lines, gauge)
  if gauge.values and #gauge.values == 0 then return end
  lines[#lines + 1] = ('# HELP ccrelay_%s %s'):format(gauge.name, gauge.help)
  lines[#lines + 1] = ('# TYPE ccrelay_%s gauge'):format(gauge.name)
  if gauge.value then lines[#lines + 1] = ('ccrelay_%s %d'):format(gauge.name, gauge.value) end
  for _, one in ipairs(gauge.values or {}) do
    lines[#lines + 1] = ('ccrelay_%s{%s="%s"} %s'):format(gauge.name, gauge.by, M.label(one.label),
      string.format('%.4g', one.value))
  end
end

--- Returns the text of counters and gauges.
---@param counters table<string, number>
---@param gauges ccrelay.Gauge[]
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
  for _, gauge in ipairs(gauges) do add_gauge(lines, gauge) end
  return table.concat(lines, '\n') .. '\n'
end

return M
