-- SPDX-License-Identifier: Apache-2.0
-- The master process: it starts and watches the workers, builds and checks every generation first, and serves the admin
-- listener.
local ffi = require 'ffi'
local C = require 'ccrelay.c'
local address = require 'ccrelay.net.address'
local admin = require 'ccrelay.server.admin'
local helpers = require 'ccrelay.process.helpers'
local ipc = require 'ccrelay.process.ipc'
local policy_quarantine = require 'ccrelay.process.policy_quarantine'
local connect_check = require 'ccrelay.health.connect_check'
local reload = require 'ccrelay.process.reload'
local bounds = require 'ccrelay.config.bounds'
local service = require 'ccrelay.process.service'
local source = require 'ccrelay.generation.bundle'
local stored_clients = require 'ccrelay.config.stored_clients'
local start_lines = require 'ccrelay.process.start_lines'
local stuck = require 'ccrelay.process.stuck'
local task = require 'ccrelay.sched.task'
local texts = require 'ccrelay.util.text'
local watch = require 'ccrelay.process.watch'
local worker = require 'ccrelay.process.worker'

local M = {}

local EXIT_UNAVAILABLE = 69
local SIGHUP, SIGINT, SIGKILL, SIGTERM, SIGCHLD = 1, 2, 9, 15, 17
local TIMER_CHECK, TIMER_DRAIN, TIMER_RESPAWN = 1, 2, 3 -- helpers, reload, watch and connect_check have their own
local CHECK_MS = 500
local FLUSH_MS = 1000
local DEFAULT_ADMIN = '127.0.0.1:8788'
local RESPAWN_MS = 1000   -- a worker that ends sooner than this is replaced after this delay

---@class ccrelay.Master
---@field relay ffi.cdata*
---@field options ccrelay.RunOptions
---@field bundle ccrelay.Bundle
---@field generation table
---@field number integer of the generation in force
---@field turn integer number of the last reload
---@field history { at: integer, generation: integer?, fault: string?, policy_aside: true? }[] the last reloads, the
--- newest first: the generation that came into force, or why it was refused
---@field trying boolean? whether new files are being loaded in a child process
---@field waiting ccrelay.Reload? the reload that workers have not answered yet
---@field again ('forced'|'changed')? a reload that follows this one
---@field tried ccrelay.Bundle the files at the last reload, whether it succeeded or was refused
---@field watch ccrelay.Watch
---@field service ccrelay.Service
---@field helpers ccrelay.Helpers
---@field become function? in a process just forked: what it is to do
---@field feed ccrelay.Feed? once somebody has looked at /events
---@field busy table<integer, table> workers that were in Lua at the last check, by slot
local Master = {}
Master.__index = Master

-- ---- Listening --------------------------------------------------------------------------------

local function slice(text)
  return { data = text, size = #text }
end

local function spec_of(where, copies, tls, passed)
  return ffi.new('struct cc_listen', {
    host = slice(where.host or ''),
    port = where.port or 0,
    path = slice(where.path or ''),
    copies = copies,
    cert = slice(tls and tls.cert or ''),
    key = slice(tls and tls.key or ''),
    passed = passed and passed.fd or 0,
    proxied = where.proxied or false,
  })
end

-- Returns the text of the address with the port that the system has chosen.
local function with_port(where, port)
  local host = where.host:find(':', 1, true) and '[' .. where.host .. ']' or where.host
  return ('%s:%d%s'):format(host, port, where.proxied and ' proxy_protocol' or '')
end

local function listen(relay, text, copies, tls, passed)
  local where = address.listen(text)
  local number = C.cc_listen(relay, spec_of(where, copies, tls, passed))
  if number < 0 then
    return nil, ('%s: %s (%s)'):format(text, ffi.string(C.cc_error_text(number)), ffi.string(C.cc_system_error()))
  end
  return number, where.port == 0 and with_port(where, C.cc_listener_port(relay, number)) or text
end

function Master:say(level, text)
  self.generation.logger:say(level, text)
end

function Master:listen()
  local configuration, shown = self.generation.configuration, {}
  self.listeners = {}
  self.options.tls = configuration.server.tls
  self.bundle.tls = source.tls_digest(self.options.tls)
  local passed = self.options.sockets and self.options.sockets.clients or {}
  for index, text in ipairs(configuration.server.listen) do
    local number, where = listen(self.relay, text, self.workers, configuration.server.tls, passed[index])
    if not number then return nil, where end
    self.listeners[#self.listeners + 1] = number
    shown[#shown + 1] = where
  end
  self.where = shown
  return true
end

function Master:listen_admin()
  local setting = self.generation.configuration.admin.listen
  if setting == 'off' then return true end
  local number, where = listen(self.relay, setting, 1, nil, self.options.sockets and self.options.sockets.admin)
  if number then
    C.cc_accept(self.relay, number, 0)
    self.admin_where = where
    return true
  end
  if setting == DEFAULT_ADMIN then
    self:say('warn', 'no admin listener: ' .. where)
    return true
  end
  return nil, where
end

-- ---- Workers ----------------------------------------------------------------------------------

--- Forks the process of a slot. Returns true in the new process, false in the master, nil when there is none.
function Master:fork(slot, what)
  local box = ffi.new('struct cc_relay *[1]', self.relay)
  C.cc_log_flush(FLUSH_MS)
  local result = C.cc_fork(box, slot)
  if result == 1 then
    self.relay = box[0]
    self.slot = slot
    return true
  end
  if result == 0 then return false end
  self:say('error', ('cannot start %s: %s'):format(what, ffi.string(C.cc_system_error())))
  return nil
end

--- Starts a worker. Returns true in the worker itself.
function Master:spawn(slot)
  local forked = self:fork(slot, 'a worker')
  if forked then
    self.become = worker.run
    return true
  end
  if forked == nil then self:spawn_later(slot) else reload.tell(self, slot) end -- it has the generation in force
  return false
end

function Master:spawn_later(slot)
  self.late[#self.late + 1] = slot
  C.cc_timer(self.relay, TIMER_RESPAWN, RESPAWN_MS)
end

--- Returns the slots of the workers that are alive.
---@return integer[]
function Master:living()
  local list, facts = {}, ffi.new 'struct cc_worker'
  for slot = 0, self.workers - 1 do
    if C.cc_worker(slot, facts) == C.CC_OK and facts.pid > 0 then list[#list + 1] = slot end
  end
  return list
end

--- Handles the end of a worker or helper. Returns true in the process that replaces it.
function Master:child_ended(slot)
  if slot >= C.CC_HELPER_SLOT then return self.helpers:ended(self, slot) end
  local facts = ffi.new 'struct cc_worker'
  C.cc_worker(slot, facts)
  reload.ended(self, slot)
  if self.draining then
    if facts.status ~= 0 then self.code = 1 end
    return false
  end
  self.restarts = self.restarts + 1
  local how = facts.status < 0 and 'was killed by signal ' .. -facts.status or 'ended with code ' .. facts.status
  self:say('error', ('worker %d %s; starting another'):format(slot, how))
  if facts.script and facts.status ~= -SIGKILL then policy_quarantine.died(self, how) end
  if C.cc_time() - facts.started < RESPAWN_MS then
    self:spawn_later(slot)
    return false
  end
  return self:spawn(slot)
end

function Master:respawn()
  local late = self.late
  self.late = {}
  if self.draining then return false end
  for _, slot in ipairs(late) do
    if self:spawn(slot) then return true end
  end
  return false
end

-- The folder of the clients is not watched, for the database in it changes all the time.
function Master:check_clients()
  self.options.state_dir = self.generation.configuration.server.state_dir
  if self.options.watch and source.clients_changed(self.tried, self.options) then self.watch:event() end
end

function Master:check()
  self.service:beat()
  self:check_clients()
  stuck.kill(self)
  self.helpers:expire()
  C.cc_timer(self.relay, TIMER_CHECK, CHECK_MS)
end

function Master:tell(message)
  local text = ipc.pack(message)
  for slot = 0, self.workers - 1 do ipc.send(self.relay, slot, text) end
end

-- ---- Reload -----------------------------------------------------------------------------------

--- Watches the folders of the current files.
function Master:follow()
  for _, folder in ipairs(self.watch:follow(self.bundle)) do self:say('warn', 'cannot watch ' .. folder) end
end

Master.apart = reload.apart
Master.prepare = reload.prepare

function Master:message(slot)
  local message = ipc.receive(self.relay)
  if not message then return end
  if slot >= C.CC_HELPER_SLOT then return self.helpers:message(slot, message) end
  if message.type == 'serving' then return self.service:serving(self, slot) end
  if message.type == 'fault' then return policy_quarantine.fault(self, message.number, message.why, false) end
  reload.answered(self, slot, message)
end

-- ---- End --------------------------------------------------------------------------------------

function Master:drain(signal)
  if self.draining then
    self:say('warn', 'second signal: aborting the requests under way')
    self.code = 1
    return self:tell { type = 'abandon' }
  end
  self.draining = true
  self:say('info', ('signal %d: no new requests; waiting for %s'):format(signal,
    texts.count(#self:living(), 'worker')))
  self.service.stopping()
  C.cc_drain(self.relay)
  self:tell { type = 'drain' }
  local limit = self.generation.configuration.server.timeout_ms
  if limit > 0 then C.cc_timer(self.relay, TIMER_DRAIN, limit) end
end

-- ---- The loop ---------------------------------------------------------------------------------

function Master:timer(number)
  if number == watch.TIMER and self.watch:due(self.tried, C.cc_now()) then reload.request(self, false) end
  if number == reload.TIMER then reload.overdue(self) end
  if number == TIMER_CHECK then self:check() end
  if number == admin.TIMER then admin.timer(self) end
  if number == TIMER_DRAIN then self:drain(SIGTERM) end
  if number == connect_check.TIMER then connect_check.look(self.relay, self.generation) end
  if number == helpers.TIMER and self.helpers:due(self) then return true end
  return number == TIMER_RESPAWN and self:respawn()
end

function Master:signal(number)
  if number == SIGHUP then return reload.request(self, true) end
  self:drain(number)
end

--- Handles one event. Returns true in a new process.
function Master:event(event)
  local kind = event.type
  if kind == C.CC_EVENT_CHILD then return self:child_ended(event.detail) end
  if kind == C.CC_EVENT_TIMER then return self:timer(event.detail) end
  if kind == C.CC_EVENT_READY then
    admin.answer(self, event.id)
  elseif kind == C.CC_EVENT_MESSAGE then
    self:message(event.detail)
  elseif kind == C.CC_EVENT_FILE then
    self.watch:event()
  elseif kind == C.CC_EVENT_SIGNAL then
    self:signal(event.detail)
  elseif kind == C.CC_EVENT_FETCH then
    task.fetched(event.id)
  elseif kind == C.CC_EVENT_WRITABLE then
    admin.writable(self, event.id)
  elseif kind == C.CC_EVENT_DONE then
    admin.done(self, event.id)
  end
  return false
end

function Master:loop()
  local event = ffi.new 'struct cc_event'
  while C.cc_next(self.relay, event) do
    if self:event(event) or self:step() then return self.become(self) end
    if self.draining and #self:living() == 0 and self.helpers:finish(self) then break end
  end
  self:say('info', 'stopped')
  C.cc_log_flush(FLUSH_MS)
  C.cc_close(self.relay)
  return self.code
end

--- Starts the workers, once, when the helpers have begun. Returns true in a worker.
function Master:begin_workers()
  if self.begun or self.draining or not self.helpers:are_ready() then return false end
  self.begun = true
  for slot = 0, self.workers - 1 do
    if self:spawn(slot) then return true end
  end
  local policy = self.bundle.policy and self.bundle.policy.path or self.generation.configuration.routing.strategy
  local where = table.concat(self.where, ', ')
  self:say('info', ('listening on %s with %s, policy %s'):format(where, texts.count(self.workers, 'worker'), policy))
  if self.admin_where then self:say('info', 'status on ' .. self.admin_where) end
  for _, line in ipairs(start_lines.of(self.generation, self.where)) do self:say('info', line) end
  return false
end

--- Starts what the generation in force needs. Returns true in a new process.
function Master:step()
  return self.helpers:follow(self) or self:begin_workers()
end

local function count_of(setting)
  if setting ~= 'auto' then return setting end
  return math.min(4, C.cc_cpus())
end

function Master:prepare_process()
  local configuration = self.generation.configuration
  self.workers = count_of(configuration.server.workers)
  self.options.state_dir = configuration.server.state_dir
  stored_clients.make(self.options.state_dir)
  local result = C.cc_share(self.workers)
  if result == C.CC_OK then result = C.cc_records_make(configuration.server.recent_exchanges, self.workers) end
  if result ~= C.CC_OK then return nil, ffi.string(C.cc_system_error()) end
  self.service = service.new(self.workers)
  self.helpers = helpers.new()
  C.cc_process 'ccrelay: master'
  self.relay = C.cc_open()
  task.attach(self.relay)
  bounds.apply(self.relay, configuration)
  return true
end

function Master:start()
  local ok, reason = self:prepare_process()
  if ok then ok, reason = self:listen() end
  if ok then ok, reason = self:listen_admin() end
  if not ok then return nil, reason end
  for _, number in ipairs { SIGHUP, SIGINT, SIGTERM, SIGCHLD } do C.cc_signal(self.relay, number) end
  self.watch = watch.new(self.relay, self.options)
  self:follow()
  return true
end

--- Runs the relay until it is told to stop. Returns in the master and in each worker.
---@param options ccrelay.RunOptions
---@param bundle ccrelay.Bundle
---@param generation table
---@return integer code exit code of this process
---@return string? reason why the relay could not start
function M.run(options, bundle, generation)
  local self = setmetatable({
    options = options, bundle = bundle, tried = bundle, generation = generation,
    number = 1, turn = 0, reloads = 0, failed = 0, restarts = 0, history = {}, late = {}, busy = {}, code = 0,
    quarantine = policy_quarantine.new(tonumber(os.getenv 'CCRELAY_SCRIPT_FAULTS')),
    loaded = C.cc_time(), started = C.cc_time(),
  }, Master)
  generation.number = 1
  local ok, reason = self:start()
  if not ok then return EXIT_UNAVAILABLE, reason end
  if self:step() then return self.become(self) end
  C.cc_timer(self.relay, TIMER_CHECK, CHECK_MS)
  connect_check.later(self.relay, self.generation)
  return self:loop()
end

return M
