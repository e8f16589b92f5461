-- SPDX-License-Identifier: Apache-2.0
-- ccrelay test policies/tests/race_test.lua
local testing = require 'ccrelay.testing'

describe('race', function()
  local STREAM = { body = { stream = true } }

  local function stage()
    return testing.stage { policy = '../race.lua', providers = {
      { name = 'first', keys = { { key = 'one', priority = 2 } } },
      { name = 'second', keys = { { key = 'two', priority = 1 } } },
    } }
  end

  it('asks no other upstream while the first is quick', function()
    local self = stage()
    self:reply('first', { after = 1900 })
    assert.same({ 'first/1' }, self:request(STREAM).tried)
  end)

  it('tries the next beside a slow one and cancels the slower of both', function()
    local self = stage()
    self:reply('first', { after = 9000 })
    local answer = self:request(STREAM)
    assert.equal('second', answer.provider)
    assert.is_true(answer.ms >= 2000 and answer.ms < 2100)
    assert.is_true(answer.tries[1].cancelled)
  end)

  it('does not race a request that is no stream', function()
    local self = stage()
    self:reply('first', { after = 9000 })
    assert.same({ 'first/1' }, self:request().tried)
  end)
end)
