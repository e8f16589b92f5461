-- SPDX-License-Identifier: Apache-2.0
-- When a policy is put aside, and what may serve instead.
local policy_quarantine = require 'ccrelay.process.policy_quarantine'

local MINUTE = 60000

describe('the faults of a policy', function()
  it('are too many at the third within a minute', function()
    local state = policy_quarantine.new()
    assert.is_false(state:count(1, 0, false))
    assert.is_false(state:count(1, 1000, false))
    assert.is_true(state:count(1, MINUTE - 1, false))
  end)

  it('are forgotten after a minute', function()
    local state = policy_quarantine.new()
    assert.is_false(state:count(1, 0, false))
    assert.is_false(state:count(1, 1000, false))
    assert.is_false(state:count(1, MINUTE, false))
    assert.is_true(state:count(1, MINUTE + 1, false))
    assert.is_false(policy_quarantine.new():count(1, MINUTE, false))
  end)

  it('are counted anew for another generation', function()
    local state = policy_quarantine.new()
    for generation = 1, 5 do
      assert.is_false(state:count(generation, generation, false))
      assert.is_false(state:count(generation, generation, false))
    end
    assert.is_true(state:count(5, 6, false))
  end)

  it('are too many when the second worker is killed', function()
    local state = policy_quarantine.new()
    assert.is_false(state:count(1, 0, true))
    assert.is_true(state:count(1, MINUTE - 1, true))
    state = policy_quarantine.new()
    assert.is_false(state:count(1, 0, true))
    assert.is_false(state:count(1, MINUTE, true))
    assert.is_false(policy_quarantine.new():count(1, 0, true))
  end)

  it('count together with kills', function()
    local state = policy_quarantine.new()
    assert.is_false(state:count(1, 0, false))
    assert.is_false(state:count(1, 1, true))
    assert.is_true(state:count(1, 2, false))
  end)

  it('stay too many, and the list does not grow', function()
    local state = policy_quarantine.new()
    for time = 1, 1000 do state:count(1, time, false) end
    assert.is_true(state:count(1, 1001, false))
    assert.is_true(#state.faults <= 6)
  end)

  it('can have another limit, or none', function()
    local state = policy_quarantine.new(5)
    for _ = 1, 4 do assert.is_false(state:count(1, 0, false)) end
    assert.is_true(state:count(1, 0, false))
    state = policy_quarantine.new(0)
    for _ = 1, 10 do assert.is_false(state:count(1, 0, true)) end
  end)
end)

describe('the substitute for a policy', function()
  local own, good = { path = 'p.lua', text = 'own' }, { path = 'p.lua', text = 'good' }
  local last = { path = 'policies/failover.lua', text = 'last' }

  it('is the policy before it, else failover', function()
    local state = policy_quarantine.new()
    assert.same({ last }, state:candidates(own, own, last))
    state.before = good
    assert.same({ good, last }, state:candidates(own, own, last))
    assert.same({ last }, state:candidates(own, good, last))
  end)

  it('is never a policy that has failed', function()
    local state = policy_quarantine.new()
    state.before = { path = 'other.lua', text = 'own' }
    assert.same({ last }, state:candidates(own, own, last))
    state.before = nil
    assert.same({}, state:candidates(last, last, last))
    assert.same({}, state:candidates(own, last, last))
  end)
end)

describe('the previous policy', function()
  local generation = { configuration = { routing = { strategy = 'failover' } } }
  local master

  local function bundle(text, instead)
    return { scripts = {}, policy = { path = 'p.lua', text = text }, instead = instead }
  end

  local function swap(next_bundle, quarantined)
    policy_quarantine.swap(master, next_bundle, generation, quarantined)
    master.bundle = next_bundle
  end

  before_each(function()
    master = { quarantine = policy_quarantine.new(), bundle = bundle 'one', generation = generation }
  end)

  it('is the last one with another text', function()
    swap(bundle 'one')
    assert.is_nil(master.quarantine.before)
    swap(bundle 'two')
    assert.equal('one', master.quarantine.before.text)
    swap(bundle 'two')
    assert.equal('one', master.quarantine.before.text)
    swap(bundle 'three')
    assert.equal('two', master.quarantine.before.text)
  end)

  it('is never a quarantined one', function()
    swap(bundle 'two')
    swap(bundle('two', master.quarantine.before), { policy = 'p.lua' })
    assert.equal('p.lua', master.quarantine.quarantined.policy)
    swap(bundle 'three')
    assert.is_nil(master.quarantine.quarantined)
    assert.equal('one', master.quarantine.before.text)
  end)

  it('is none if that was quarantined, too', function()
    swap(bundle 'two')
    swap(bundle('two', master.quarantine.before), { policy = 'p.lua' })
    swap(bundle('two', { path = 'policies/failover.lua', text = 'last' }), { policy = 'p.lua' })
    assert.is_nil(master.quarantine.before)
  end)

  it('and the quarantined one stay across a reload of something else', function()
    swap(bundle 'two')
    local one = master.quarantine.before
    swap(bundle('two', one), { policy = 'p.lua' })
    swap(bundle('two', one))
    assert.equal('p.lua', master.quarantine.quarantined.policy)
    assert.equal(one, master.quarantine.before)
    swap(bundle 'two')
    assert.is_nil(master.quarantine.quarantined)
  end)
end)
