-- SPDX-License-Identifier: Apache-2.0
-- ccrelay test policies/tests/least_loaded_test.lua
local testing = require 'ccrelay.testing'

describe('least_loaded', function()
  local function stage()
    return testing.stage { policy = '../least_loaded.lua', providers = {
      { name = 'a', keys = { { key = 'one', rpm_limit = 10 } } },
      { name = 'b', keys = { { key = 'two', rpm_limit = 20 } } },
    } }
  end

  local function served(self, requests)
    local counts = { a = 0, b = 0 }
    for _ = 1, requests do
      local name = self:request().provider
      counts[name] = counts[name] + 1
    end
    return counts
  end

  it('fills limits evenly, and refuses when they are full', function()
    local self = stage()
    assert.same({ a = 5, b = 10 }, served(self, 15))
    assert.same({ a = 5, b = 10 }, served(self, 15))
    assert.equal(429, self:request().status)
    self:advance(61000)
    assert.equal(200, self:request().status)
  end)

  it('fails over', function()
    local self = stage()
    self:reply('a', { status = 500 })
    self:reply('b', { status = 500 }, { status = 200 })
    assert.equal(2, #self:request().tried)
  end)
end)
