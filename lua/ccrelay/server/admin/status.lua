-- SPDX-License-Identifier: Apache-2.0
-- GET /status of the admin listener: the state of the relay as JSON, without secrets.
local C = require 'ccrelay.c'
local ffi = require 'ffi'
local json = require 'ccrelay.util.json'
local metrics = require 'ccrelay.log.metrics'
local overview = require 'ccrelay.health.overview'

local M = {}

local function workers(master)
  local list, facts = json.array {}, ffi.new 'struct cc_worker'
  for slot = 0, master.workers - 1 do
    if C.cc_worker(slot, facts) == C.CC_OK then
      list[#list + 1] = { slot = slot, pid = facts.pid, exchanges = facts.exchanges,
        uptime_ms = math.floor(C.cc_time() - facts.started) }
    end
  end
  return list
end

--- Returns the path of the policy in force, or the name of its strategy.
---@param master table
---@return string
function M.policy(master)
  local file = master.bundle.policy
  return file and file.path or master.generation.configuration.routing.strategy
end

--- Returns the state of the relay, as a table for JSON.
---@param master table
---@return table
function M.of(master)
  local generation = master.generation
  return {
    version = ffi.string(C.cc_version()),
    pid = C.cc_getpid(),
    loop_name = ffi.string(C.cc_loop_name()),
    uptime_ms = math.floor(C.cc_time() - master.started),
    listen = json.array(master.where),
    sockets_passed = #((master.options.sockets or {}).clients or {}),
    policy = M.policy(master),
    policy_aside = master.quarantine.quarantined,
    configuration = generation.configuration.source or 'built in',
    generation = { number = master.number, loaded = math.floor(master.loaded) },
    reloads = {
      done = master.reloads, refused = master.failed, fault = master.last_fault, history = json.array(master.history),
    },
    restarts = master.restarts,
    draining = master.draining or false,
    workers = workers(master),
    helpers = master.helpers:describe(),
    providers = json.array(overview.describe(generation)),
    counters = metrics.counters(),
    log_dropped = C.cc_log_dropped(),
  }
end

---@param master table
---@return string body
function M.answer(master)
  return json.encode(M.of(master))
end

return M
