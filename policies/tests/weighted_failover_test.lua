-- SPDX-License-Identifier: Apache-2.0
-- ccrelay test policies/tests/weighted_failover_test.lua
local testing = require 'ccrelay.testing'

describe('weighted_failover', function()
  local function stage(seed)
    return testing.stage { policy = '../weighted_failover.lua', seed = seed, providers = {
      { name = 'a', keys = { { key = 'one', weight = 1, priority = 1 } } },
      { name = 'b', keys = { { key = 'two', weight = 3, priority = 2 } } },
      { name = 'c', keys = { { key = 'three', weight = 0, priority = 3 } } },
    } }
  end

  it('draws the first upstream by weight', function()
    local self, counts = stage(), { a = 0, b = 0, c = 0 }
    for _ = 1, 200 do
      local name = self:request().provider
      counts[name] = counts[name] + 1
    end
    assert.is_true(counts.b > 120 and counts.b < 180, counts.b)
    assert.equal(0, counts.c)
  end)

  it('draws anew for each request', function()
    local seen = {}
    for seed = 1, 5 do
      local self, drawn = stage(seed), ''
      for _ = 1, 12 do drawn = drawn .. self:request().provider end
      assert.is_nil(seen[drawn])
      seen[drawn] = true
    end
  end)

  it('tries the others by priority', function()
    for seed = 1, 8 do
      local self = stage(seed)
      self:reply('a', { status = 503 })
      self:reply('b', { status = 503 })
      local tried = table.concat(self:request().tried, ' ')
      assert.is_true(tried == 'a/1 c/1' or tried == 'b/1 c/1', tried)
    end
  end)
end)
