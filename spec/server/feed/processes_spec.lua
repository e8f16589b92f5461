-- SPDX-License-Identifier: Apache-2.0
-- What processes use: here the process of the spec stands for the master and for the worker in slot 0.
local fake = require 'support.fake_c'
local stage = require 'support.stage'
local json = require 'ccrelay.util.json'
local histograms = require 'ccrelay.log.histograms'
local processes = require 'ccrelay.server.feed.processes'

local C = fake.C
local cpu

local master = { workers = 1, helpers = { describe = function()
  return json.array {
    { name = 'usage', pid = C.cc_getpid(), uptime_ms = 5, state = { fault = 'disk full' } }, { name = 'gone', pid = 0 },
  }
end } }

before_each(function()
  stage.new()
  cpu = 1000
  function C.cc_worker(_, facts)
    facts.pid, facts.exchanges, facts.started = C.cc_getpid(), 2, C.cc_time() - 3000
    return C.CC_OK
  end
  function C.cc_worker_cpu() return cpu end
end)

after_each(function() C.cc_worker, C.cc_worker_cpu = nil, nil end)

it('a worker has its memory, exchanges and share of a processor', function()
  local self = processes.new()
  local first = self:describe(master)
  assert.is_nil(first.workers[1].cpu)
  assert.equal(2, first.workers[1].open)
  assert.is_true(first.workers[1].memory_bytes > 1e6)
  fake.advance(1000)
  cpu = 1250
  assert.equal(0.25, self:describe(master).workers[1].cpu)
end)

it('a worker that was replaced has no share at first', function()
  local self = processes.new()
  self:describe(master)
  fake.advance(1000)
  cpu = 10
  assert.is_nil(self:describe(master).workers[1].cpu)
end)

it('lag is that of the last minute, as bounds of buckets', function()
  local self = processes.new()
  for _ = 1, 50 do histograms.add('event_loop_lag', '0', 400) end
  assert.same({}, self:describe(master).workers[1].lag_ms)
  for _ = 1, 99 do histograms.add('event_loop_lag', '0', 0.2) end
  histograms.add('event_loop_lag', '0', 40)
  histograms.add('event_loop_lag', '0', 40)
  assert.same({ p50 = 0.25, p99 = 50 }, self:describe(master).workers[1].lag_ms)
end)

it('helpers that run are told, with what keeps them from their work', function()
  local list = processes.new():describe(master).helpers
  assert.equal(1, #list)
  assert.same({ 'usage', 'disk full' }, { list[1].name, list[1].fault })
end)
