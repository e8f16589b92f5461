-- SPDX-License-Identifier: Apache-2.0
-- Writes the metrics of all processes in the text format of Prometheus (exposition format 0.0.4,
-- https://prometheus.io/docs/instrumenting/exposition_formats/).
local each = require 'ccrelay.util.each'
local families = require 'ccrelay.log.families'
local ffi = require 'ffi'
local C = require 'ccrelay.c'
local histograms = require 'ccrelay.log.histograms'
local series = require 'ccrelay.log.series'
local slice = require 'ccrelay.util.slice'

local M = {}

M.TYPE = 'text/plain; version=0.0.4; charset=utf-8'

local BILLION = 1e9

---@class ccrelay.Sample
---@field labels string as text
---@field value number

-- Splits a counter's name into metric and labels. Names are: status_2xx, attempts:zai, tokens_input:zai, exchanges.
local function metric_of(name)
  local class = string.match(name, '^status_(%w+)$')
  if class then return 'status_total', series.text({ 'class' }, { class }) end
  local what, provider = string.match(name, '^([%w_]+):(.+)$')
  if not what then return name .. '_total', '' end
  local kind = string.match(what, '^tokens_(%w+)$')
  if kind then return 'provider_tokens_total', series.text({ 'provider', 'kind' }, { provider, kind }) end
  return 'provider_' .. what .. '_total', series.text({ 'provider' }, { provider })
end

--- Returns the counters without labels, and those by provider and status, by name.
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

local function add(found, metric, labels, value)
  found[metric] = found[metric] or {}
  table.insert(found[metric], { labels = labels, value = value })
end

-- Costs are counted in billionths, as cells hold whole numbers.
local function samples(counters)
  local found = series.read()
  for _, metric in ipairs { 'cost_total', 'client_cost_total' } do
    for _, sample in ipairs(found[metric] or {}) do sample.value = sample.value / BILLION end
  end
  for name, value in each(counters) do
    local metric, labels = metric_of(name)
    add(found, metric, labels, value)
  end
  return found
end

local function add_histograms(lines, family, list)
  local bounds, label = histograms.bounds(), family.labels[1]
  table.sort(list, function(a, b) return a.value < b.value end)
  for _, one in ipairs(list) do
    local labels = ('%s="%s"'):format(label, series.escape(one.value))
    for bucket, bound in ipairs(bounds) do
      lines[#lines + 1] = ('ccrelay_%s_bucket{%s,le="%s"} %d'):format(family.name, labels, bound, one.counts[bucket])
    end
    lines[#lines + 1] = ('ccrelay_%s_sum{%s} %.6f'):format(family.name, labels, one.sum_ms / 1000)
    lines[#lines + 1] = ('ccrelay_%s_count{%s} %d'):format(family.name, labels, one.counts[#bounds])
  end
end

local function by_labels(a, b) return a.labels < b.labels end

local function add_samples(lines, family, list)
  table.sort(list, by_labels)
  for _, sample in ipairs(list) do
    lines[#lines + 1] = ('ccrelay_%s%s %.15g'):format(family.name, sample.labels, sample.value)
  end
  if #list == 0 and #family.labels == 0 and family.type == 'counter' then
    lines[#lines + 1] = ('ccrelay_%s 0'):format(family.name)
  end
end

local function add_head(lines, family)
  lines[#lines + 1] = ('# HELP ccrelay_%s %s'):format(family.name, family.help)
  lines[#lines + 1] = ('# TYPE ccrelay_%s %s'):format(family.name, family.type)
end

--- Returns the text of all metrics.
---@param facts table<string, ccrelay.Sample[]> what is not in shared memory, by name of the metric
---@return string
function M.text(facts)
  local lines, found, times = {}, samples(M.counters()), histograms.read()
  for name, list in each(facts) do found[name] = list end
  for _, family in ipairs(families) do
    add_head(lines, family)
    if family.type == 'histogram' then
      add_histograms(lines, family, times[string.match(family.name, '^(.*)_seconds$')] or {})
    else
      add_samples(lines, family, found[family.name] or {})
    end
  end
  return table.concat(lines, '\n') .. '\n'
end

--- Returns the samples of a metric without labels.
---@param value number
---@return ccrelay.Sample[]
function M.one(value)
  return { { labels = '', value = value } }
end

return M
