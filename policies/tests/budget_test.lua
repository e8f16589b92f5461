-- SPDX-License-Identifier: Apache-2.0
-- ccrelay test policies/tests/budget_test.lua
local testing = require 'ccrelay.testing'

describe('budget', function()
  local DAY = 24 * 3600000

  local function stage()
    local self = testing.stage { policy = '../budget.lua', providers = { { name = 'one' } },
      routing = { budget_per_day = 3, prices = { ['*'] = { input = 1, output = 1 } } } }
    self:reply('one', { usage = { input = 1000000, output = 0 } })
    return self
  end

  it('serves a client up to its budget, then not until the next day', function()
    local self = stage()
    for _ = 1, 3 do assert.equal(200, self:request().status) end
    local answer = self:request()
    assert.equal(429, answer.status)
    assert.equal('false', answer.headers['x-should-retry'])
    assert.equal('billing_error', answer.json.error.type)
    self:advance(DAY)
    assert.equal(200, self:request().status)
  end)

  it('does not count a request that failed', function()
    local self = stage()
    self:reply('one', { status = 400, body = '{}' }, { usage = { input = 1000000, output = 0 } })
    self:request()
    for _ = 1, 3 do assert.equal(200, self:request().status) end
    assert.equal(429, self:request().status)
  end)
end)
