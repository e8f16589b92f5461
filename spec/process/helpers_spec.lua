-- SPDX-License-Identifier: Apache-2.0
-- Helpers: when the master starts, replaces, tells and ends them.
local fake = require 'support.fake_c'
local helpers = require 'ccrelay.process.helpers'
local ipc = require 'ccrelay.process.ipc'
local stage = require 'support.stage'

local C = fake.C
local FIRST = C.CC_HELPER_SLOT
local before, processes, timers, sent

-- A machine that remembers processes by slot, timers, and messages.
local function machine()
  processes, timers, sent, before = {}, {}, {}, {}
  local own = {
    cc_worker = function(slot, facts)
      local one = processes[slot]
      facts.pid, facts.started, facts.status = one and one.pid or 0, one and one.started or 0, one and one.status or 0
      return C.CC_OK
    end,
    cc_timer = function(_, number, delay) timers[#timers + 1] = number .. ' ' .. delay end,
    cc_kill = function(slot, number) sent[#sent + 1] = ('%d killed by %d'):format(slot, number) end,
    cc_send = function(_, slot, text)
      local message = ipc.unpack(text)
      sent[#sent + 1] = ('%d %s %s'):format(slot, message.type, message.settings and message.settings.value or '-')
      return C.CC_OK
    end,
  }
  for name, stub in pairs(own) do before[name], C[name] = rawget(C, name) or false, stub end
end

local function kind(name)
  return { name = name, run = function() end, settings = function(configuration)
    return configuration[name] and { value = configuration[name] }
  end }
end

local function generation(configuration) return { configuration = configuration } end

local function master_of(configuration)
  return { generation = generation(configuration), forks = {}, said = {},
    fork = function(self, slot)
      self.forks[#self.forks + 1] = slot - FIRST
      if self.fails then return nil end
      processes[slot] = { pid = 100 + #self.forks, started = C.cc_time(), status = 0 }
      return self.is_child or false
    end,
    say = function(self, level, text) self.said[#self.said + 1] = level .. ' ' .. text end,
  }
end

local function ends(one, master, slot, age, status)
  stage.advance(age)
  processes[slot].pid, processes[slot].status = 0, status
  return one:ended(master, slot)
end

local master, one

before_each(function()
  stage.new()
  machine()
  helpers.kinds = { kind 'first', kind 'second' }
  one, master = helpers.new(), master_of { first = 1 }
end)

after_each(function()
  helpers.kinds = {}
  for name, was in pairs(before) do C[name] = was or nil end
end)

it('starts those that the configuration needs, once', function()
  assert.is_false(one:follow(master))
  assert.is_false(one:follow(master))
  assert.same({ 0 }, master.forks)
  assert.same({ 'first' }, { one:describe()[1].name, one:describe()[2] })
end)

it('lets the workers wait until all have begun, or for 3 s', function()
  one:follow(master)
  assert.is_false(one:are_ready())
  assert.same({ helpers.TIMER .. ' 3000' }, timers)
  one:message(FIRST, { type = 'ready' })
  assert.is_true(one:are_ready())
  one = helpers.new()
  one:follow(master)
  stage.advance(2999)
  one:due(master)
  assert.is_false(one:are_ready())
  assert.equal(helpers.TIMER .. ' 1', timers[#timers])
  assert.same({}, master.said)
  stage.advance(1)
  one:due(master)
  assert.is_true(one:are_ready())
  one:due(master)
  assert.same({ 'warn the helper first has not begun after 3 s: requests are served without it until then' },
    master.said)
end)

it('lets the workers wait for one that is slow although another has died', function()
  master.generation = generation { first = 1, second = 2 }
  one:follow(master)
  ends(one, master, FIRST, 10, -11)
  stage.advance(1000)
  one:due(master)
  assert.same({ 0, 1, 0 }, master.forks)
  assert.is_false(one:are_ready())
  assert.same({ 'error the helper first was killed by signal 11; starting another' }, master.said)
  assert.equal(helpers.TIMER .. ' 1990', timers[#timers])
end)

it('runs the work of the helper in the new process', function()
  master.is_child = true
  assert.is_true(one:follow(master))
  assert.is_function(master.become)
end)

it('replaces one that ends: at once, or after a second if it lived for less', function()
  one:follow(master)
  ends(one, master, FIRST, 1000, -11)
  assert.same({ 0, 0 }, master.forks)
  assert.same({ 'error the helper first was killed by signal 11; starting another' }, master.said)
  ends(one, master, FIRST, 999, 3)
  assert.same({ 0, 0 }, master.forks)
  assert.equal(helpers.TIMER .. ' 1000', timers[#timers])
  one:due(master)
  assert.same({ 0, 0, 0 }, master.forks)
  assert.equal(2, one:describe()[1].restarts)
end)

it('tries again when a process cannot be made', function()
  master.fails = true
  one:follow(master)
  assert.equal(helpers.TIMER .. ' 1000', timers[1])
  master.fails = false
  one:due(master)
  assert.equal(101 + 1, processes[FIRST].pid)
end)

it('tells one that runs its new settings, ends one that is not needed any more, and starts a new one', function()
  one:follow(master)
  master.generation = generation { first = 2, second = 5 }
  one:follow(master)
  assert.same({ 0, 1 }, master.forks)
  assert.same({ FIRST .. ' settings 2' }, sent)
  master.generation = generation { second = 5 }
  one:follow(master)
  assert.equal(FIRST .. ' end -', sent[2])
  ends(one, master, FIRST, 5000, 0)
  assert.same({ 0, 1 }, master.forks)
  assert.equal(2, #sent)
  assert.equal('second', one:describe()[1].name)
end)

it('starts one again that was to end and is needed after all', function()
  one:follow(master)
  master.generation = generation {}
  one:follow(master)
  master.generation = generation { first = 1 }
  one:follow(master)
  ends(one, master, FIRST, 5000, 0)
  assert.same({ 0, 0 }, master.forks)
end)

it('ends all with the relay, and kills those that take longer than 3 s', function()
  one:follow(master)
  assert.is_false(one:finish(master))
  assert.is_false(one:finish(master))
  assert.same({ FIRST .. ' end -' }, sent)
  assert.equal(helpers.TIMER .. ' 3000', timers[#timers])
  one:due(master)
  assert.equal(FIRST .. ' killed by 9', sent[2])
  ends(one, master, FIRST, 10, -9)
  assert.is_true(one:finish(master))
  assert.same({ 0 }, master.forks)
end)

describe('a question', function()
  local replies

  before_each(function()
    replies = {}
    one:follow(master)
    one:message(FIRST, { type = 'ready' })
  end)

  local function ask(name)
    one:ask(master, name or 'first', {}, function(body, why) replies[#replies + 1] = body or why end)
  end

  it('gets the reply that has its number', function()
    ask()
    ask()
    assert.same({ FIRST .. ' ask -', FIRST .. ' ask -' }, sent)
    one:message(FIRST, { type = 'reply', number = 2, body = 'two' })
    one:message(FIRST, { type = 'reply', number = 1, why = 'not one' })
    one:message(FIRST, { type = 'reply', number = 1, body = 'again' })
    assert.same({ 'two', 'not one' }, replies)
  end)

  it('fails if there is no such helper, or if it ends', function()
    ask 'second'
    ask()
    ends(one, master, FIRST, 5000, -9)
    assert.same({ 'the helper second does not run', 'the helper first has ended' }, replies)
  end)

  it('fails if a helper hangs', function()
    ask()
    stage.advance(29999)
    one:expire()
    assert.same({}, replies)
    stage.advance(1)
    one:expire()
    one:expire()
    one:message(FIRST, { type = 'reply', number = 1, body = 'late' })
    assert.same({ 'the helper has not answered for 30 s' }, replies)
  end)

  it('is refused if there are many', function()
    for _ = 1, 33 do ask() end
    assert.same({ 'too many questions are being answered' }, replies)
  end)
end)

it('shows what a helper told last', function()
  one:follow(master)
  one:message(FIRST, { type = 'state', state = { rows = 3 } })
  assert.same({ rows = 3 }, one:describe()[1].state)
  ends(one, master, FIRST, 5000, 0)
  assert.is_nil(one:describe()[1].state)
  assert.is_false(one:describe()[1].ready)
end)
