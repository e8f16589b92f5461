-- SPDX-License-Identifier: Apache-2.0
-- Answers the admin listener: /status, /metrics and /health, read-only and without secrets.
local each = require 'ccrelay.util.each'
local ffi = require 'ffi'
local C = require 'ccrelay.c'
local client_auth = require 'ccrelay.exchange.client_auth'
local api_error = require 'ccrelay.util.api_error'
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

local CIRCUITS = { closed = 0, half_open = 1, open = 2 }

-- Gauges of providers and keys.
local function of_providers(master)
  local circuits, keys, rooms, credentials = {}, {}, {}, {}
  for _, entry in ipairs(overview.describe(master.generation)) do
    circuits[#circuits + 1] = { label = entry.provider, value = CIRCUITS[entry.breaker] }
    for _, key in ipairs(entry.keys) do
      keys[#keys + 1] = { label = key.id, value = (key.state == 'ready' or key.state == 'half_open') and 1 or 0 }
      rooms[#rooms + 1] = { label = key.id, value = key.headroom }
    end
    local state = entry.credentials
    if state then credentials[#credentials + 1] = { label = entry.provider, value = state.valid and 1 or 0 } end
  end
  return {
    { name = 'circuit', help = 'circuit of a provider: 0 closed, 1 half open, 2 open', by = 'provider',
      values = circuits },
    { name = 'key_ready', help = 'whether a key may be used now', by = 'key', values = keys },
    { name = 'key_headroom', help = 'least free share of the limits of a key, 0 to 1', by = 'key', values = rooms },
    { name = 'credentials_valid', help = 'whether fetched credentials of a provider may be used', by = 'provider',
      values = credentials },
  }
end

local function figures(master)
  local open = 0
  for _, one in ipairs(workers(master)) do open = open + one.exchanges end
  local gauges = {
    { name = 'exchanges_open', help = 'client requests under way', value = open },
    { name = 'generation', help = 'number of the current generation', value = master.number },
    { name = 'reloads', help = 'reloads done', value = master.reloads },
    { name = 'reloads_refused', help = 'reloads refused for a fault', value = master.failed },
    { name = 'worker_restarts', help = 'workers replaced', value = master.restarts },
    { name = 'log_lines_dropped', help = 'log lines lost to a slow output', value = C.cc_log_dropped() },
  }
  for _, gauge in ipairs(of_providers(master)) do gauges[#gauges + 1] = gauge end
  return metrics.text(metrics.counters(), gauges)
end

local types = { ['/metrics'] = metrics.TYPE }

local pages = {
  ['/metrics'] = function(master) return figures(master) end,
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
