-- SPDX-License-Identifier: Apache-2.0
-- ccrelay test policies/tests/by_class_test.lua
local testing = require 'ccrelay.testing'

describe('by_class', function()
  local function stage()
    return testing.stage { policy = '../by_class.lua', routing = { classes = { auxiliary = 'small' } },
      providers = { { name = 'one' } } }
  end

  local function of(class, model)
    return { body = { model = model or 'claude-haiku-4-5' }, headers = { ['x-claude-code-request-class'] = class } }
  end

  it('sends a class to its model', function()
    assert.equal('small', stage():request(of 'auxiliary').tries[1].model)
  end)

  it('leaves requests of other classes and without a class alone', function()
    local self = stage()
    assert.equal('claude-haiku-4-5', self:request(of 'main').tries[1].model)
    assert.equal('claude-haiku-4-5', self:request(of(nil)).tries[1].model)
  end)

  it('sends the safety check of auto mode to the model it asked for', function()
    assert.equal('claude-sonnet-5', stage():request(of('auxiliary', 'claude-sonnet-5')).tries[1].model)
  end)

  it('goes back to the model that was asked for when the model of the class is refused', function()
    local self = stage()
    self:reply('one', { status = 400, body = '{}' }, { status = 200 })
    local answer = self:request(of 'auxiliary')
    assert.same({ 'small', 'claude-haiku-4-5' }, { answer.tries[1].model, answer.tries[2].model })
    assert.equal(200, answer.status)
  end)
end)
