-- SPDX-License-Identifier: Apache-2.0
-- A worker: what it takes over from the master, what it tells it, and how it ends.
local fake = require 'support.fake_c'
local ipc = require 'ccrelay.process.ipc'
local loop = require 'ccrelay.server.loop'
local bundle = require 'ccrelay.generation.bundle'
local stage = require 'support.stage'
local ready = require 'ccrelay.endpoints.ready'
local worker = require 'ccrelay.process.worker'

local C = fake.C
local SIGINT, SIGTERM, SIGHUP = 2, 15, 1

local told, calls, inbox

local own = {
  cc_send = function(_, slot, text)
    assert.equal(-1, slot)
    told[#told + 1] = ipc.unpack(text)
    return C.CC_OK
  end,
  cc_message = function(_, bytes)
    bytes.data, bytes.size = inbox, #inbox
    return C.CC_OK
  end,
  cc_exchanges = function() return calls.open end,
  cc_connections = function() return 0 end,
}
for _, name in ipairs { 'cc_process', 'cc_signal', 'cc_accept', 'cc_log_flush', 'cc_close', 'cc_drain', 'cc_timer',
  'cc_abandon', 'cc_tls_commit', 'cc_sign_forget', 'cc_configure', 'cc_trust_proxies',
  'cc_measure_lag' } do
  own[name] = function() calls[name] = (calls[name] or 0) + 1 end
end
local before, run, build, set_draining = {}, loop.run, bundle.build, ready.set_draining

before_each(function()
  told, calls = {}, { open = 0 }
  for name, stub in pairs(own) do before[name], C[name] = rawget(C, name), stub end
end)

after_each(function()
  for name in pairs(own) do C[name] = before[name] end
  loop.run, bundle.build, ready.set_draining = run, build, set_draining
end)

-- Runs a worker whose loop is the function: its exit code.
local function with(go)
  local current = stage.new().current
  current.number = 1
  function loop.run(_, self)
    assert.same({ type = 'serving' }, table.remove(told))
    go(self, function(message)
      inbox = ipc.pack(message)
      self:on_message()
    end)
  end
  return worker.run { options = {}, generation = current, slot = 0, listeners = { 0, 1 } }
end

local function takes(self, message, turn)
  message { type = 'prepare', number = 2, turn = turn, bundle = {} }
  return self:generation()
end

it('serves the generation it was forked with, on every listener', function()
  with(function(self) assert.equal(1, self:generation().number) end)
  assert.equal(2, calls.cc_accept)
end)

it('builds a generation and swaps when told to', function()
  with(function(self, message)
    local other = assert(stage.build {})
    function bundle.build() return other, {} end
    assert.equal(1, takes(self, message, 7).number)
    assert.same({ type = 'ready', turn = 7 }, told[1])
    message { type = 'commit', turn = 7 }
    assert.equal(other, self:generation())
    assert.equal(2, other.number)
    assert.equal(1, calls.cc_sign_forget)
  end)
end)

it('swaps only to the generation that was built last', function()
  with(function(self, message)
    function bundle.build() return assert(stage.build {}), {} end
    takes(self, message, 7)
    message { type = 'commit', turn = 6 }
    takes(self, message, 8)
    message { type = 'commit', turn = 7 }
    assert.equal(1, self:generation().number)
    message { type = 'commit', turn = 8 }
    assert.equal(2, self:generation().number)
    local now = self:generation()
    message { type = 'commit', turn = 8 }
    assert.equal(now, self:generation())
  end)
end)

it('reports why it cannot build a generation, and keeps the current one', function()
  with(function(self, message)
    function bundle.build() return nil, { { path = 'providers[0].name', message = 'is missing' } } end
    takes(self, message, 7)
    assert.equal(7, told[1].turn)
    assert.matches('providers%[0%]%.name', told[1].fault)
    message { type = 'commit', turn = 7 }
    assert.equal(1, self:generation().number)
  end)
end)

it('reports at most three faults a second, of the current generation only', function()
  with(function(self)
    for _ = 1, 10 do self:on_fault(self:generation(), 'p.lua:1: no') end
    self:on_fault({ number = 0 }, 'old')
    assert.equal(3, #told)
    assert.same({ type = 'fault', number = 1, why = 'p.lua:1: no' }, told[3])
    stage.advance(1001)
    self:on_fault(self:generation(), 'again')
    assert.equal(4, #told)
  end)
end)

it('ends when told to and nothing is open, also at SIGTERM, but not by Ctrl-C', function()
  for _, begin in ipairs {
    function(_, message) message { type = 'drain' } end, function(self) self:on_signal(SIGTERM) end,
  } do
    calls = { open = 1 }
    ready.set_draining = function(value) calls.not_ready = value and 1 end
    assert.equal(0, with(function(self, message)
      self:on_signal(SIGINT)
      self:on_signal(SIGHUP)
      assert.is_nil(calls.cc_drain)
      begin(self, message)
      begin(self, message)
      assert.equal(1, calls.cc_drain)
      assert.equal(1, calls.not_ready)
      assert.is_false(self:on_timer())
      calls.open = 0
      assert.is_true(self:on_timer())
    end))
  end
end)

it('ends with code 1 when it had to abort requests', function()
  assert.equal(1, with(function(_, message) message { type = 'abandon' } end))
  assert.equal(1, calls.cc_abandon)
end)
