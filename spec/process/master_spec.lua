-- SPDX-License-Identifier: Apache-2.0
-- The master: which workers it starts and when, whom it kills, how it ends.
local fake = require 'support.fake_c'
local connect_check = require 'ccrelay.health.connect_check'
local helpers = require 'ccrelay.process.helpers'
local ipc = require 'ccrelay.process.ipc'
local master = require 'ccrelay.process.master'
local bundle = require 'ccrelay.generation.bundle'
local stage = require 'support.stage'
local watch = require 'ccrelay.process.watch'
local worker = require 'ccrelay.process.worker'

local C = fake.C
local SIGINT = 2
local TIMER_RESPAWN = 3
local RESPAWN_MS = 1000

local before = {}

-- A machine that forks workers, kills them, and lets the events come that a test has listed.
local function machine(events)
  local self = { workers = {}, forks = {}, timers = {}, killed = {}, sent = 0, said = {} }
  local own = {
    cc_share = function() return C.CC_OK end,
    cc_records_make = function() return C.CC_OK end,
    cc_open = function() return nil end,
    cc_listen = function(_, spec) return self.refuses == spec.port and C.CC_EADDRESS or 0 end,
    cc_fork = function(_, slot)
      self.forks[#self.forks + 1] = slot
      if self.fails then return -1 end
      self.workers[slot] = { pid = 100 + #self.forks, started = C.cc_time(), busy = 0, status = 0 }
      return self.is_worker and 1 or 0
    end,
    cc_worker = function(slot, facts)
      local one = self.workers[slot]
      if not one then return C.CC_ENOTFOUND end
      facts.pid, facts.started, facts.busy = one.pid, one.started, one.busy
      facts.status, facts.script = one.status, false
      return C.CC_OK
    end,
    cc_kill = function(slot, number) self.killed[#self.killed + 1] = slot .. ' ' .. number end,
    cc_timer = function(_, number, delay) self.timers[#self.timers + 1] = number .. ' ' .. delay end,
    cc_send = function()
      self.sent = self.sent + 1
      return C.CC_OK
    end,
    cc_next = function(_, event)
      local go = table.remove(events, 1)
      if not go then return false end
      event.type, event.detail = go(self)
      return true
    end,
  }
  for _, name in ipairs { 'cc_process', 'cc_signal', 'cc_accept', 'cc_log_flush', 'cc_close', 'cc_drain',
    'cc_configure', 'cc_trust_proxies' } do
    own[name] = function() return C.CC_OK end
  end
  for name, stub in pairs(own) do before[name], C[name] = rawget(C, name) or false, stub end
  return self
end

local modules = {
  { bundle, 'tls_digest', function() end }, { connect_check, 'later', function() end },
  { watch, 'new', function() return { follow = function() return {} end } end },
  { worker, 'run', function(self) return 'worker ' .. self.slot end },
}

before_each(function()
  for _, entry in ipairs(modules) do entry.was, entry[1][entry[2]] = entry[1][entry[2]], entry[3] end
end)

after_each(function()
  for name, was in pairs(before) do C[name] = was or nil end
  before = {}
  for _, entry in ipairs(modules) do entry[1][entry[2]] = entry.was end
end)

-- Runs a master of two workers over these events: the machine, and what run returned.
local function run(events, change)
  local current = stage.new().current
  current.configuration.server.workers = 2
  current.configuration.server.listen = { '127.0.0.1:8787' }
  current.configuration.admin = { listen = 'off', token = '' }
  local self = machine(events)
  if change then change(self, current.configuration) end
  local logger = { say = function(_, level, text) self.said[#self.said + 1] = level .. ' ' .. text end }
  local generation = setmetatable({ logger = logger }, { __index = current })
  self.code, self.reason = master.run({}, { policy = { path = 'p.lua' } }, generation)
  return self
end

local function ends(slot, age, status)
  return function(self)
    stage.advance(age)
    self.workers[slot].pid, self.workers[slot].status = 0, status or -11
    return C.CC_EVENT_CHILD, slot
  end
end

local function rings(number, after)
  return function()
    stage.advance(after or 0)
    return C.CC_EVENT_TIMER, number
  end
end

local function signal(number) return function() return C.CC_EVENT_SIGNAL, number end end

local function forks(self) return table.concat(self.forks, ' ') end

local function count_of(list, text)
  local count = 0
  for _, entry in ipairs(list) do count = count + (entry == text and 1 or 0) end
  return count
end

it('starts a worker for each slot, and is one itself in the process that was forked', function()
  assert.equal('0 1', forks(run {}))
  assert.equal('worker 0', run({}, function(self) self.is_worker = true end).code)
end)

it('replaces a worker that has lived for a while at once', function()
  local self = run { ends(1, RESPAWN_MS + 1) }
  assert.equal('0 1 1', forks(self))
  assert.equal(1, count_of(self.said, 'error worker 1 was killed by signal 11; starting another'))
  assert.equal('0 1 0', forks(run { ends(0, RESPAWN_MS, 3) }))
end)

it('replaces a worker that ends early after a second, each time', function()
  local young = RESPAWN_MS - 1
  local self = run { ends(1, young) }
  assert.equal('0 1', forks(self))
  assert.equal(1, count_of(self.timers, ('%d %d'):format(TIMER_RESPAWN, RESPAWN_MS)))
  self = run { ends(1, young), rings(TIMER_RESPAWN, RESPAWN_MS), ends(1, young) }
  assert.equal('0 1 1', forks(self))
  assert.equal(2, count_of(self.timers, ('%d %d'):format(TIMER_RESPAWN, RESPAWN_MS)))
  self = run { ends(1, young), rings(TIMER_RESPAWN, RESPAWN_MS), ends(1, young), rings(TIMER_RESPAWN, RESPAWN_MS) }
  assert.equal('0 1 1 1', forks(self))
end)

it('replaces all workers that ended early, each once', function()
  local self = run { ends(0, 10), ends(1, 10), rings(TIMER_RESPAWN, RESPAWN_MS), rings(TIMER_RESPAWN, RESPAWN_MS) }
  assert.equal('0 1 0 1', forks(self))
end)

it('tries again later if it cannot fork', function()
  local self = run { function(self)
    self.fails = true
    return ends(0, 5000)(self)
  end, function(self)
    self.fails = false
    return C.CC_EVENT_TIMER, TIMER_RESPAWN
  end }
  assert.equal('0 1 0 0', forks(self))
end)

it('stops when all workers have ended, and replaces none meanwhile', function()
  local self = run { signal(SIGINT), ends(0, 10, 0), ends(1, 5000, 0), rings(TIMER_RESPAWN) }
  assert.equal('0 1', forks(self))
  assert.equal(0, self.code)
  assert.equal(2, self.sent)
  assert.equal(1, run({ signal(SIGINT), ends(0, 10, 1), ends(1, 10, 0) }).code)
end)

it('does not replace a worker that ended early before the drain', function()
  assert.equal('0 1', forks(run { ends(0, 10), signal(SIGINT), rings(TIMER_RESPAWN, RESPAWN_MS) }))
end)

it('makes workers abort their requests at a second signal', function()
  local self = run { signal(SIGINT), signal(SIGINT), ends(0, 10, 0), ends(1, 10, 0) }
  assert.same({ 1, 4 }, { self.code, self.sent })
end)

describe('with a helper', function()
  local HELPER = C.CC_HELPER_SLOT
  local receive = ipc.receive

  before_each(function()
    helpers.kinds = { { name = 'one', settings = function() return {} end, run = function() end } }
    ipc.receive = function() return { type = 'ready' } end
  end)

  after_each(function() helpers.kinds, ipc.receive = {}, receive end)

  local function begins() return C.CC_EVENT_MESSAGE, HELPER end

  it('starts the workers when the helper has begun', function()
    assert.equal(tostring(HELPER), forks(run {}))
    assert.equal(HELPER .. ' 0 1', forks(run { begins }))
    assert.equal(HELPER .. ' 0 1', forks(run { rings(helpers.TIMER, 3000) }))
  end)

  it('ends the helper after the workers', function()
    local self = run { begins, signal(SIGINT), ends(0, 10, 0), ends(1, 10, 0), ends(HELPER, 10, 0), rings(0) }
    assert.same({ 3, HELPER .. ' 0 1', 0 }, { self.sent, forks(self), self.code })
    assert.equal(1, count_of(self.said, 'info stopped'))
  end)
end)

it('does not start if it cannot listen', function()
  local self = run({}, function(self) self.refuses = 8787 end)
  assert.equal(69, self.code)
  assert.matches('^127%.0%.0%.1:8787: ', self.reason)
  assert.equal('', forks(self))
end)

it('starts without the admin listener only if that is not configured', function()
  local function taken(listen)
    return function(self, configuration)
      self.refuses = 8788
      configuration.admin.listen = listen
    end
  end
  assert.equal('0 1', forks(run({}, taken '127.0.0.1:8788')))
  assert.equal(69, run({}, taken '0.0.0.0:8788').code)
end)
