-- SPDX-License-Identifier: Apache-2.0
-- Answers the admin listener: /status, /metrics and /health, read-only and without secrets.
local each = require 'ccrelay.util.each'
local ffi = require 'ffi'
local C = require 'ccrelay.c'
local client_auth = require 'ccrelay.exchange.client_auth'
local api_error = require 'ccrelay.util.api_error'
local gauges = require 'ccrelay.server.gauges'
local json = require 'ccrelay.util.json'
local metrics = require 'ccrelay.log.metrics'
local overview = require 'ccrelay.health.overview'
local sha256 = require 'ccrelay.util.sha256'
local slice = require 'ccrelay.util.slice'

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

--- Returns the state of the relay, as a table for JSON.
---@param master table
---@return table
function M.status(master)
  local generation = master.generation
  return {
    version = ffi.string(C.cc_version()),
    pid = C.cc_getpid(),
    loop_name = ffi.string(C.cc_loop_name()),
    uptime_ms = math.floor(C.cc_time() - master.started),
    listen = json.array(master.where),
    policy = master.bundle.policy and master.bundle.policy.path or generation.configuration.routing.strategy,
    policy_aside = master.quarantine.quarantined,
    configuration = generation.configuration.source or 'built in',
    generation = { number = master.number, loaded = math.floor(master.loaded) },
    reloads = { done = master.reloads, refused = master.failed, fault = master.last_fault },
    restarts = master.restarts,
    draining = master.draining or false,
    workers = workers(master),
    helpers = master.helpers:describe(),
    providers = json.array(overview.describe(generation)),
    counters = metrics.counters(),
    log_dropped = C.cc_log_dropped(),
  }
end

local function respond(relay, id, status, body, extra)
  for name, value in each(extra or {}) do C.cc_answer_header(relay, id, name, #name, value, #value) end
  C.cc_answer(relay, id, status, body, #body)
end

local function refuse(relay, id, status, message, extra)
  respond(relay, id, status, api_error.body(api_error.type_of(status), message, 'admin'), extra)
end

local types = { ['/metrics'] = metrics.TYPE }

local pages = {
  ['/metrics'] = function(master) return metrics.text(gauges.of(master)) end,
  ['/status'] = function(master) return json.encode(M.status(master)) end,
  ['/health'] = function() return '{"status":"ok"}' end,
}

local function header(relay, id, name)
  local value = ffi.new 'struct cc_slice'
  if C.cc_request_header(relay, id, name, #name, value) ~= C.CC_OK then return nil end
  return slice.text(value)
end

local function is_allowed(master, relay, id)
  local token = master.generation.configuration.admin.token
  if token == '' then return true end
  local given = (header(relay, id, 'authorization') or ''):match '^[Bb]earer%s+(.+)$' or ''
  return sha256.equal(sha256.of(given), sha256.of(token))
end

--- Answers a request to the admin listener.
---@param master table
---@param id number
function M.answer(master, id)
  local relay, request = master.relay, ffi.new 'struct cc_request'
  if C.cc_request(relay, id, request) ~= C.CC_OK then return end
  local method = slice.text(request.method)
  local path = slice.text(request.path)
  local local_only = master.generation.configuration.admin.token == ''
  if local_only and not client_auth.is_local(header(relay, id, 'host'), header(relay, id, 'origin')) then
    return refuse(relay, id, 403, 'this listener answers loopback names only')
  end
  if not is_allowed(master, relay, id) then
    return refuse(relay, id, 401, 'the admin token is missing or wrong', { ['www-authenticate'] = 'Bearer' })
  end
  local page = pages[path]
  if path == '/metrics' and not master.generation.configuration.metrics.enabled then page = nil end
  if not page then return refuse(relay, id, 404, 'there is no such page; there are /status, /metrics and /health') end
  if method ~= 'GET' and method ~= 'HEAD' then
    return refuse(relay, id, 405, path .. ' takes GET', { allow = 'GET, HEAD' })
  end
  respond(relay, id, 200, page(master), {
    ['content-type'] = types[path] or 'application/json', ['cache-control'] = 'no-store',
  })
end

return M
