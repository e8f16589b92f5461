-- SPDX-License-Identifier: Apache-2.0
-- ccrelay test policies/tests/weighted_round_robin_test.lua
local testing = require 'ccrelay.testing'

describe('weighted_round_robin', function()
  local providers = {
    { name = 'a', keys = { { key = 'one', weight = 2 } } },
    { name = 'b', keys = { { key = 'two', weight = 1 } } },
    { name = 'c', keys = { { key = 'three', weight = 0 } } },
  }

  it('gives each upstream its share', function()
    local self, counts = testing.stage { policy = '../weighted_round_robin.lua', providers = providers }, {}
    for _ = 1, 30 do
      local name = self:request().provider
      counts[name] = (counts[name] or 0) + 1
    end
    assert.same({ a = 20, b = 10 }, counts)
  end)

  it('uses weight 0 only when all others fail', function()
    local self = testing.stage { policy = '../weighted_round_robin.lua', providers = providers }
    self:reply('a', { status = 503 })
    self:reply('b', { status = 503 })
    assert.equal('c', self:request().provider)
  end)
end)
