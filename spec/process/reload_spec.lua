-- SPDX-License-Identifier: Apache-2.0
-- The two steps of a reload: every worker builds the generation apart; when all have, all swap.
local fake = require 'support.fake_c'
local ipc = require 'ccrelay.process.ipc'
local policy_quarantine = require 'ccrelay.process.policy_quarantine'
local service = require 'ccrelay.process.service'
local reload = require 'ccrelay.process.reload'
local stage = require 'support.stage'

local C = fake.C
local SIGKILL = 9

local sent, killed, commits

-- What the master asks of the C side here: messages to workers, their ends, timers.
local own = {
  cc_send = function(_, slot, text)
    sent[#sent + 1] = slot .. ' ' .. ipc.unpack(text).type
    return C.CC_OK
  end,
  cc_kill = function(slot, number) killed[#killed + 1] = slot .. ' ' .. number end,
  cc_timer = function() end,
  cc_tls_commit = function() commits = commits + 1 end,
}
local before = {}

before_each(function()
  sent, killed, commits = {}, {}, 0
  for name, stub in pairs(own) do before[name], C[name] = rawget(C, name), stub end
end)

after_each(function()
  for name in pairs(own) do C[name] = before[name] end
end)

-- A master with two workers, and another generation that it is to take over.
local function new()
  local old, other = stage.new().current, assert(stage.build { routing = { strategy = 'failover' } })
  local bundle = { scripts = {}, policy = { path = 'p.lua', text = '' } }
  local master = { generation = old, bundle = bundle, number = 1, turn = 0, reloads = 0, failed = 0,
    history = {}, said = {}, workers = 2, quarantine = policy_quarantine.new(), service = service.new(2) }
  function master.say(_, level, text) master.said[#master.said + 1] = level .. ' ' .. text end
  function master.living() return { 0, 1 } end
  function master.follow() end
  reload.prepare(master, bundle, other)
  return master, other
end

local function ready(master, slot, turn, fault)
  reload.answered(master, slot, { turn = turn or master.turn, fault = fault })
end

local function all_sent() return table.concat(sent, ', ') end

it('all workers swap when the last has built the generation', function()
  local master, other = new()
  assert.equal('0 prepare, 1 prepare', all_sent())
  ready(master, 0)
  assert.equal(1, master.number)
  ready(master, 1)
  assert.equal('0 prepare, 1 prepare, 0 commit, 1 commit', all_sent())
  assert.same({ 2, 1, 0, 1 }, { master.number, master.reloads, master.failed, commits })
  assert.equal(other, master.generation)
end)

it('no worker swaps if one finds a fault', function()
  local master, other = new()
  ready(master, 0, nil, 'p.lua:1: no')
  assert.equal(0, master.failed)
  ready(master, 1)
  assert.equal('0 prepare, 1 prepare', all_sent())
  assert.same({ 1, 0, 1, 0 }, { master.number, master.reloads, master.failed, commits })
  assert.equal('p.lua:1: no', master.last_fault)
  assert.are_not.equal(other, master.generation)
end)

it('the last reloads are kept, the newest first', function()
  local master = new()
  ready(master, 0, nil, 'p.lua:1: no')
  ready(master, 1)
  for turn = 2, 30 do
    reload.prepare(master, master.bundle, (assert(stage.build {})))
    ready(master, 0, turn)
    ready(master, 1, turn)
    if turn == 2 then
      assert.equal(2, master.history[1].generation)
      assert.equal('p.lua:1: no', master.history[2].fault)
      assert.is_true(master.history[1].at > 0)
    end
  end
  assert.same({ 20, 30 }, { #master.history, master.history[1].generation })
end)

it('an answer to an earlier reload does not count', function()
  local master = new()
  ready(master, 0, nil, 'p.lua:1: no')
  ready(master, 1)
  reload.prepare(master, master.bundle, (assert(stage.build {})))
  ready(master, 0, 1, 'late')
  ready(master, 1, 1)
  assert.is_truthy(master.waiting)
  ready(master, 0)
  ready(master, 0)
  assert.is_truthy(master.waiting)
  ready(master, 1)
  assert.same({ 2, 1, 1 }, { master.number, master.reloads, master.failed })
end)

it('an answer after the reload has ended changes nothing', function()
  local master = new()
  ready(master, 0)
  ready(master, 1)
  ready(master, 1, nil, 'late')
  assert.same({ 2, 1, 0 }, { master.number, master.reloads, master.failed })
end)

it('a worker that has ended is not waited for', function()
  local master = new()
  reload.ended(master, 1)
  ready(master, 0)
  assert.equal(2, master.number)
end)

it('a worker that does not answer is killed, and the reload fails', function()
  local master = new()
  ready(master, 1)
  reload.overdue(master)
  assert.same({ '0 ' .. SIGKILL }, killed)
  assert.same({ 1, 1 }, { master.number, master.failed })
  assert.equal('worker 0 has not answered a reload for 10 s', master.last_fault)
end)

it('files that do not fit a message are refused, and a worker that cannot be told is replaced', function()
  function C.cc_send() return C.CC_ELIMIT end
  local master = new()
  assert.matches('^the files are too large together: %d+ bytes to send to the workers$', master.last_fault)
  function C.cc_send() return C.CC_ESTATE end
  new()
  assert.same({ '0 9', '1 9' }, { killed[1], killed[2] })
end)

it('files that are saved during a reload are loaded after it, once', function()
  local master, looked = new(), 0
  local apart = reload.apart
  function reload.apart() looked = looked + 1 end
  finally(function() reload.apart = apart end)
  reload.request(master, false)
  reload.request(master, true)
  reload.request(master, false)
  ready(master, 0)
  assert.equal(0, looked)
  ready(master, 1)
  assert.equal(1, looked)
end)
