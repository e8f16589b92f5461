-- SPDX-License-Identifier: Apache-2.0
-- ccrelay test policies/tests/round_robin_test.lua
local testing = require 'ccrelay.testing'

describe('round_robin', function()
  it('begins with the next upstream each time', function()
    local self = testing.stage { policy = '../round_robin.lua', providers = {
      { name = 'a', keys = { { key = 'one', weight = 3 } } }, { name = 'b', keys = { { key = 'two', weight = 1 } } } } }
    local first, second = self:request().tried[1], self:request().tried[1]
    assert.are_not.equal(first, second)
    for _ = 1, 3 do
      assert.equal(first, self:request().tried[1])
      assert.equal(second, self:request().tried[1])
    end
  end)

  it('fails over', function()
    local self = testing.stage { policy = '../round_robin.lua', providers = { { name = 'a' }, { name = 'b' } } }
    self:reply('a', { error = 'CC_EREFUSED' })
    for _ = 1, 4 do assert.equal('b', self:request().provider) end
  end)
end)
