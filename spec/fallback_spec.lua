-- SPDX-License-Identifier: Apache-2.0
-- When a policy is put aside, and what may serve instead.
local fallback = require 'ccrelay.fallback'

local MINUTE = 60000

describe('the faults of a policy', function()
  it('are too many at the third within a minute', function()
    local state = fallback.new()
    assert.is_false(state:count(1, 0, false))
    assert.is_false(state:count(1, 1000, false))
    assert.is_true(state:count(1, MINUTE - 1, false))
  end)

  it('are forgotten after a minute', function()
    local state = fallback.new()
    assert.is_false(state:count(1, 0, false))
    assert.is_false(state:count(1, 1000, false))
    assert.is_false(state:count(1, MINUTE, false))
    assert.is_true(state:count(1, MINUTE + 1, false))
    assert.is_false(fallback.new():count(1, MINUTE, false))
  end)

  it('begin at none in another generation', function()
    local state = fallback.new()
    for generation = 1, 5 do
      assert.is_false(state:count(generation, generation, false))
      assert.is_false(state:count(generation, generation, false))
    end
    assert.is_true(state:count(5, 6, false))
  end)

  it('are too many at the second worker killed', function()
    local state = fallback.new()
    assert.is_false(state:count(1, 0, true))
    assert.is_true(state:count(1, MINUTE - 1, true))
    state = fallback.new()
    assert.is_false(state:count(1, 0, true))
    assert.is_false(state:count(1, MINUTE, true))
    assert.is_false(fallback.new():count(1, 0, true))
  end)

  it('count together with kills', function()
    local state = fallback.new()
    assert.is_false(state:count(1, 0, false))
    assert.is_false(state:count(1, 1, true))
    assert.is_true(state:count(1, 2, false))
  end)

  it('go on being too many, without end and without growing', function()
    local state = fallback.new()
    for time = 1, 1000 do state:count(1, time, false) end
    assert.is_true(state:count(1, 1001, false))
    assert.is_true(#state.faults <= 6)
  end)

  it('can be more, or without a limit', function()
    local state = fallback.new(5)
    for _ = 1, 4 do assert.is_false(state:count(1, 0, false)) end
    assert.is_true(state:count(1, 0, false))
    state = fallback.new(0)
    for _ = 1, 10 do assert.is_false(state:count(1, 0, true)) end
  end)
end)

describe('instead of a policy', function()
  local own, good = { path = 'p.lua', text = 'own' }, { path = 'p.lua', text = 'good' }
  local last = { path = 'policies/failover.lua', text = 'last' }

  it('serves the one before it, else failover', function()
    local state = fallback.new()
    assert.same({ last }, state:candidates(own, own, last))
    state.before = good
    assert.same({ good, last }, state:candidates(own, own, last))
    assert.same({ last }, state:candidates(own, good, last))
  end)

  it('never serves what has failed', function()
    local state = fallback.new()
    state.before = { path = 'other.lua', text = 'own' }
    assert.same({ last }, state:candidates(own, own, last))
    state.before = nil
    assert.same({}, state:candidates(last, last, last))
    assert.same({}, state:candidates(own, last, last))
  end)
end)
