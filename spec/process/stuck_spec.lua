-- SPDX-License-Identifier: Apache-2.0
-- The master kills workers that do not return from Lua, and no others.
local fake = require 'support.fake_c'
local policy_quarantine = require 'ccrelay.process.policy_quarantine'
local stuck = require 'ccrelay.process.stuck'

local C = fake.C
local before, workers, killed, quarantined, now

local stubs = {
  cc_now = function() return now end,
  cc_worker = function(slot, facts)
    local one = workers[slot]
    if not one then return C.CC_ENOTFOUND end
    facts.pid, facts.busy = one.pid, one.busy
    return C.CC_OK
  end,
  cc_worker_cpu = function(slot) return workers[slot].cpu end,
  cc_kill = function(slot, number) killed[#killed + 1] = slot .. ' ' .. number end,
}

local master = { workers = 2, say = function() end }

before_each(function()
  before, workers, killed, quarantined, now = {}, {}, {}, {}, 1000000
  master.busy = {}
  for name, stub in pairs(stubs) do before[name], C[name] = rawget(C, name) or false, stub end
  stub(policy_quarantine, 'killed', function(_, lasts) quarantined[#quarantined + 1] = lasts end)
end)

after_each(function()
  for name, old in pairs(before) do C[name] = old or nil end
  policy_quarantine.killed:revert()
end)

-- Lets time pass, of which each worker gets a share, with a check every half second.
local function pass(milliseconds, shares)
  for _ = 1, milliseconds / 500 do
    stuck.kill(master)
    now = now + 500
    for slot, share in pairs(shares) do workers[slot].cpu = workers[slot].cpu + 500 * share end
  end
  stuck.kill(master)
end

local function busy(pid)
  return { pid = pid, busy = now, cpu = 70000 }
end

it('kills a worker whose stay in Lua has taken more than 5 s of processor time, and no other', function()
  workers = { [0] = busy(100), [1] = busy(101) }
  pass(5000, { [0] = 1, [1] = 1 })
  assert.same({}, killed)
  workers[0].busy = now
  pass(500, { [0] = 1, [1] = 1 })
  assert.same({ '1 9' }, killed)
  assert.same({ 5500 }, quarantined)
end)

it('kills a worker once, however long it takes to die', function()
  workers = { [0] = busy(100), [1] = busy(101) }
  pass(8000, { [0] = 1, [1] = 1 })
  assert.same({ '0 9', '1 9' }, killed)
  assert.equal(2, #quarantined)
end)

it('does not count what a worker used before', function()
  workers = { [0] = busy(100) }
  for _ = 1, 30 do
    pass(4500, { [0] = 1 })
    workers[0].busy = now
  end
  assert.same({}, killed)
end)

it('lets a worker go on that gets little processor time, for 30 s', function()
  workers = { [0] = busy(100) }
  pass(30000, { [0] = 0.1 })
  assert.same({}, killed)
  pass(500, { [0] = 0.1 })
  assert.same({ '0 9' }, killed)
end)

it('does not confuse a worker with the one before it', function()
  workers = { [0] = busy(100) }
  pass(5000, { [0] = 1 })
  workers[0].pid = 102
  pass(500, { [0] = 1 })
  assert.same({}, killed)
end)

it('lets workers be that wait', function()
  workers = { [0] = { pid = 100, busy = 0, cpu = 0 } }
  pass(60000, { [0] = 1 })
  assert.same({}, killed)
end)
