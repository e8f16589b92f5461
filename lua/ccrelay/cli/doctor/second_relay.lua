-- SPDX-License-Identifier: Apache-2.0
-- Starts a second relay on loopback, with the policy, the routing and the clients of a configuration, over a mock
-- provider. It guarantees that this relay reaches nothing but the mock, sends no real key, and writes no file.
local C = require 'ccrelay.c'
local config = require 'ccrelay.config'
local each = require 'ccrelay.util.each'
local ffi = require 'ffi'
local master = require 'ccrelay.process.master'
local mock = require 'ccrelay.cli.doctor.mock'
local preflight = require 'ccrelay.process.preflight'
local source = require 'ccrelay.generation.bundle'
local stored_clients = require 'ccrelay.config.stored_clients'
local task = require 'ccrelay.sched.task'
local transparent = require 'ccrelay.config.transparent'

local M = {}

local FAILED = 1
local SIGKILL, SIGTERM = 9, 15
local POLL_MS, MOST_POLLS = 20, 100
local HOST = '127.0.0.1'

-- Only these change what a client sees; everything else is as without a configuration. So what is added to the
-- configuration one day, such as a file to write to, is off here, and so is what the environment sets.
local OF_SERVER = { 'timeout_ms', 'idle_ms', 'total_ms', 'max_body_bytes' }
local LIMITS = { '_limit$', '^max_concurrent$', '^budget_per_' }

-- ---- What it runs with -------------------------------------------------------------------------

local function is_limit(name)
  for _, pattern in ipairs(LIMITS) do
    if type(name) == 'string' and name:find(pattern) then return true end
  end
  return false
end

-- A copy of a section in which nothing limits clients.
local function without_limits(section)
  local copy = {}
  for name, value in each(section) do
    if type(value) == 'table' then value = without_limits(value) elseif is_limit(name) then value = 0 end
    copy[name] = value
  end
  return copy
end

local function unset() return nil end

local function configuration_at(port)
  return function(configuration)
    local own = assert(config.load { data = { providers = { { name = 'none', type = 'anthropic' } } }, env = unset })
    own.source, own.health, own.providers = configuration.source, configuration.health, configuration.providers
    own.routing = without_limits(configuration.routing)
    own.server.auth = without_limits(configuration.server.auth)
    stored_clients.make_up_keys(own.server.auth)
    for _, name in ipairs(OF_SERVER) do own.server[name] = configuration.server[name] end
    own.server.listen, own.server.workers = { ('%s:%d'):format(HOST, port) }, 1
    own.server.recent_exchanges, own.admin.listen, own.logging.level = 0, 'off', 'error'
    return own
  end
end

local function keys_of(settings, adapter)
  local keys = {}
  for index, key in ipairs(settings.keys) do
    keys[index] = { id = key.id, key = 'doctor-key-' .. index, priority = key.priority, weight = key.weight,
      org = key.org }
  end
  local has_own = adapter.credentials ~= nil and adapter.credentials ~= 'key' or adapter.key_optional
  if #keys > 0 or not has_own then return keys end
  return { { id = settings.name .. '/1', key = 'doctor-key', priority = 1, weight = 1 } }
end

local function mocked(settings, adapter, url)
  local entry = {}
  for name, value in each(settings) do entry[name] = value end
  entry.transparent = transparent.of(settings, adapter)
  entry.keys, entry.base_url, entry.ca_file = keys_of(settings, adapter), url, nil
  return entry
end

-- The mock speaks Anthropic's format, so an adapter of a cloud keeps only what decides over routing.
local function plain(adapter)
  if (adapter.credentials or 'key') == 'key' then return adapter end
  return { models = adapter.models, supports = adapter.supports, counts_cache_reads = adapter.counts_cache_reads }
end

local function providers_at(port)
  local url = ('http://%s:%d'):format(HOST, port)
  return function(list, adapters)
    local entries, plains = {}, {}
    for name, adapter in each(adapters) do plains[name] = plain(adapter) end
    for index, settings in ipairs(list) do entries[index] = mocked(settings, adapters[settings.type] or {}, url) end
    return entries, plains
  end
end

-- ---- Its processes -----------------------------------------------------------------------------

local function run_relay(options, port, mock_port)
  local run = {
    config = options.config, policy = options.policy, insecure = true, watch = false,
    replace = { configuration = configuration_at(port), providers = providers_at(mock_port) },
  }
  local bundle = source.read(run)
  if not bundle then return FAILED end
  local generation = preflight.build_first(function() return source.build(bundle, run) end)
  if not generation or C.cc_log_open '/dev/null' ~= C.CC_OK then return FAILED end
  return (master.run(run, bundle, generation))
end

local function free_port()
  local relay = C.cc_open()
  local number = C.cc_listen(relay, ffi.new('struct cc_listen', {
    host = { data = HOST, size = #HOST }, port = 0, path = { data = '', size = 0 }, copies = 1,
    cert = { data = '', size = 0 }, key = { data = '', size = 0 },
  }))
  local port = number >= 0 and C.cc_listener_port(relay, number) or 0
  C.cc_close(relay)
  return port
end

local function start(work, ...)
  local pid = C.cc_child()
  if pid ~= 0 then return pid > 0 and pid or nil end
  local ok, code = pcall(work, ...)
  os.exit(ok and code or FAILED)
end

---@class ccrelay.SecondRelay
---@field port integer of the relay
---@field mock_port integer
---@field pid integer of the relay
---@field mock_pid integer

--- Starts both; they end with this process. To be called before the process has done anything else, as it forks.
---@param options ccrelay.DoctorOptions
---@return ccrelay.SecondRelay? second nil if they cannot be started
function M.start(options)
  local port, mock_port = free_port(), free_port()
  if port == 0 or mock_port == 0 then return nil end
  local mock_pid = start(mock.serve, mock_port)
  local pid = mock_pid and start(run_relay, options, port, mock_port)
  return pid and { port = port, mock_port = mock_port, pid = pid, mock_pid = mock_pid } or nil
end

-- Waits until a process has ended; it gets the signal again and again.
local function finish(pid, signal, times)
  for _ = 1, times do
    if C.cc_child_signal(pid, signal) then return true end
    task.sleep(POLL_MS)
  end
  return false
end

--- Ends both and waits until they have ended, so that no process is left. Must be called within a task.
---@param second ccrelay.SecondRelay
function M.stop(second)
  if not finish(second.pid, SIGTERM, MOST_POLLS) then finish(second.pid, SIGKILL, MOST_POLLS) end
  finish(second.mock_pid, SIGKILL, MOST_POLLS)
end

return M
