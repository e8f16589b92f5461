-- SPDX-License-Identifier: Apache-2.0
-- Gathers the metrics that are not counted in shared memory: the state of the master, of providers and of keys.
local C = require 'ccrelay.c'
local ffi = require 'ffi'
local metrics = require 'ccrelay.log.metrics'
local overview = require 'ccrelay.health.overview'
local series = require 'ccrelay.log.series'

local M = {}

local CIRCUITS = { closed = 0, half_open = 1, open = 2 }

local function add(list, names, values, value)
  list[#list + 1] = { labels = series.text(names, values), value = value }
end

local function yes(condition) return condition and 1 or 0 end

local function add_keys(facts, entry)
  for _, key in ipairs(entry.keys) do
    add(facts.key_ready, { 'key' }, { key.id }, yes(key.state == 'ready' or key.state == 'half_open'))
    add(facts.key_headroom, { 'key' }, { key.id }, tonumber(('%.4g'):format(key.headroom)))
    add(facts.key_suspended, { 'provider', 'key' }, { entry.provider, key.id }, yes(key.state == 'aside'))
  end
end

local function add_providers(facts, generation)
  for _, name in ipairs { 'circuit', 'key_ready', 'key_suspended', 'key_headroom', 'credentials_valid' } do
    facts[name] = {}
  end
  for _, entry in ipairs(overview.describe(generation)) do
    add(facts.circuit, { 'provider' }, { entry.provider }, CIRCUITS[entry.breaker])
    add_keys(facts, entry)
    local state = entry.credentials
    if state then add(facts.credentials_valid, { 'provider' }, { entry.provider }, yes(state.valid)) end
  end
end

local function exchanges_open(workers)
  local open, worker = 0, ffi.new 'struct cc_worker'
  for slot = 0, workers - 1 do
    if C.cc_worker(slot, worker) == C.CC_OK then open = open + worker.exchanges end
  end
  return open
end

--- Returns the samples by name of the metric.
---@param master table
---@return table<string, ccrelay.Sample[]>
function M.of(master)
  local one, dropped = metrics.one, C.cc_log_dropped()
  local facts = {
    build_info = { { labels = series.text({ 'version' }, { ffi.string(C.cc_version()) }), value = 1 } },
    start_time_seconds = one(math.floor(master.started) / 1000), generation = one(master.number),
    exchanges_open = one(exchanges_open(master.workers)),
    config_last_reload_successful = one(yes(not master.last_fault)),
    config_reloads_total = one(master.reloads), config_reloads_refused_total = one(master.failed),
    workers_replaced_total = one(master.restarts), log_dropped_lines_total = one(dropped),
    reloads = one(master.reloads), reloads_refused = one(master.failed), worker_restarts = one(master.restarts),
    log_lines_dropped = one(dropped),
  }
  add_providers(facts, master.generation)
  return facts
end

return M
