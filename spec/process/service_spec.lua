-- SPDX-License-Identifier: Apache-2.0
-- What the service manager is told, and when.
local fake = require 'support.fake_c'
local reload = require 'ccrelay.process.reload'
local service = require 'ccrelay.process.service'
local stage = require 'support.stage'

local C = fake.C

local told

local function new(environment)
  local master = { where = { '127.0.0.1:8787' }, workers = 2, number = 1 }
  master.service = service.new(2, function(name) return (environment or {})[name] end)
  return master, master.service
end

local function serving(environment)
  local master, self = new(environment)
  self:serving(master, 0)
  self:serving(master, 1)
  return master, self
end

local READY = 'READY=1\nSTATUS=serving on 127.0.0.1:8787 with 2 workers, generation 1'
local before, now = rawget(C, 'cc_notify'), rawget(C, 'cc_now')

before_each(function()
  told = {}
  C.cc_notify = function(text) told[#told + 1] = text end
end)

after_each(function() C.cc_notify, C.cc_now = before, now end)

it('is ready when the last worker serves, and says so once', function()
  local master, self = new()
  self:serving(master, 1)
  self:serving(master, 1)
  assert.same({}, told)
  self:serving(master, 0)
  assert.same({ READY }, told)
  self:serving(master, 0)
  assert.equal(1, #told)
end)

it('reports the begin of a reload with its time, and its end', function()
  local master, self = serving()
  C.cc_now = function() return 1234567.5 end
  self:reloading()
  assert.equal('RELOADING=1\nMONOTONIC_USEC=1234567500\nSTATUS=reloading', told[2])
  master.number = 2
  self:reloaded(master)
  assert.matches('^READY=1\nSTATUS=serving .*, generation 2$', told[3])
end)

it('says in the status that a reload was refused', function()
  local master, self = serving()
  master.last_fault = 'config.yaml:1: CANARY'
  self:reloaded(master)
  assert.matches('^READY=1\n.*the last reload was refused, see the log$', told[2])
end)

it('does not become ready by a reload while a worker does not serve, or while it stops', function()
  local master, self = new()
  self:reloading()
  self:reloaded(master)
  assert.same({}, told)
  master, self = serving()
  master.draining = true
  self.stopping()
  self:reloaded(master)
  assert.matches('^STOPPING=1\n', told[2])
  assert.equal(2, #told)
end)

it('feeds the watchdog of its own process, and only if there is one', function()
  local usec = { WATCHDOG_USEC = '30000000' }
  for index, case in ipairs {
    { usec, true }, { {}, false }, { { WATCHDOG_USEC = '0' }, false },
    { { WATCHDOG_USEC = '30000000', WATCHDOG_PID = tostring(C.cc_getpid()) }, true },
    { { WATCHDOG_USEC = '30000000', WATCHDOG_PID = '1' }, false },
  } do
    told = {}
    local _, self = new(case[1])
    self:beat()
    assert.same(case[2] and { 'WATCHDOG=1' } or {}, told, index)
  end
end)

it('is told when a reload begins and ends, with or without success', function()
  stage.new()
  local master = serving()
  master.say = function() end
  reload.apart(master, function() end)
  assert.matches('^RELOADING=1\n', told[2])
  assert.equal(READY, told[3])
  assert.equal(3, #told)
end)
