-- SPDX-License-Identifier: Apache-2.0
-- ccrelay test policies/tests/failover_test.lua
local testing = require 'ccrelay.testing'

local function stage()
  return testing.stage { policy = '../failover.lua', providers = {
    { name = 'first', keys = { { key = 'one', priority = 2 } } },
    { name = 'second', keys = { { key = 'two', priority = 1 } } },
  } }
end

describe('failover', function()
  it('tries the highest priority first', function()
    local self = stage()
    for _ = 1, 3 do assert.same({ 'first/1' }, self:request().tried) end
  end)

  it('fails over from an overloaded upstream, leaves it out while that lasts, and comes back', function()
    local self = stage()
    self:reply('first', { status = 529 })
    for _ = 1, 3 do
      local answer = self:request()
      assert.same({ 'first/1', 'second/1' }, answer.tried)
      assert.equal(200, answer.status)
      assert.equal('second', answer.provider)
    end
    self:reply('first', { status = 200 })
    assert.same({ 'second/1' }, self:request().tried)
    self:advance(2001)
    assert.same({ 'first/1' }, self:request().tried)
  end)

  it('looks at the priority only', function()
    local self = testing.stage { policy = '../failover.lua', providers = {
      { name = 'first', keys = { { key = 'one', priority = 2, rpm_limit = 20 } } },
      { name = 'second', keys = { { key = 'two', priority = 1 } } },
    }, routing = { prices = { ['first/*'] = { input = 5, output = 25 }, ['second/*'] = { input = 1, output = 5 } },
      model_mapping = { claude = 'second' }, classes = { main = 'small' }, budget_per_day = 1 } }
    self:reply('first', { usage = { input = 1000000, output = 0 } }, { status = 529 }, { status = 200 })
    local request = { headers = { ['x-claude-code-request-class'] = 'main', ['x-claude-code-session-id'] = 'one' } }
    assert.equal('claude-sonnet-4-5', self:request(request).tries[1].model)
    assert.same({ 'first/1', 'second/1' }, self:request(request).tried)
    self:advance(3001)
    for _ = 1, 10 do assert.same({ 'first/1' }, self:request(request).tried) end
  end)

  it('fails over from a stalled stream after five seconds', function()
    local self = stage()
    self:reply('first', { after = 60000 })
    local answer = self:request { body = { stream = true } }
    assert.equal('second', answer.provider)
    assert.is_true(answer.ms >= 5000 and answer.ms < 6000)
  end)

  it('does not retry an error that is the fault of the request', function()
    local self = stage()
    local body = { type = 'error', error = { type = 'invalid_request_error', message = 'no' } }
    self:reply('first', { status = 400, body = body })
    local answer = self:request()
    assert.same({ 'first/1' }, answer.tried)
    assert.equal('no', answer.json.error.message)
  end)
end)
