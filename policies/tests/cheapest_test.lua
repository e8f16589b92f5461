-- SPDX-License-Identifier: Apache-2.0
-- ccrelay test policies/tests/cheapest_test.lua
local testing = require 'ccrelay.testing'

describe('cheapest', function()
  local function stage(prices)
    return testing.stage { policy = '../cheapest.lua', routing = { prices = prices }, providers = {
      { name = 'dear', keys = { { key = 'one', priority = 2 } } },
      { name = 'cheap', keys = { { key = 'two', priority = 1 } } },
    } }
  end

  local PRICES = { ['dear/*'] = { input = 5, output = 25 }, ['cheap/*'] = { input = 1, output = 5 } }

  it('tries the lowest price first, whatever the priority', function()
    assert.same({ 'cheap/1' }, stage(PRICES):request().tried)
  end)

  it('fails over to the next price', function()
    local self = stage(PRICES)
    self:reply('cheap', { status = 529 })
    assert.same({ 'cheap/1', 'dear/1' }, self:request().tried)
  end)

  it('tries an upstream without a price last', function()
    assert.same({ 'dear/1' }, stage({ ['dear/*'] = PRICES['dear/*'] }):request().tried)
  end)
end)
