-- SPDX-License-Identifier: Apache-2.0
local stage = require 'support.stage'
local ready = require 'ccrelay.endpoints.ready'

local function ask(self)
  return (self:request { method = 'GET', path = '/health/ready' })
end

local function with(...)
  local list = {}
  for index, more in ipairs { ... } do
    list[index] = { name = 'p' .. index, type = 'anthropic', keys = { { key = 'CANARY-' .. index } } }
    for name, value in pairs(more) do list[index][name] = value end
  end
  return stage.new { providers = list }
end

describe('/health/ready', function()
  after_each(function() ready.set_draining(false) end)

  it('is 200 while a provider can serve', function()
    local answer = ask(with({}, {}))
    assert.equal(200, answer.status)
    assert.same({ status = 'ready' }, answer.json)
  end)

  it('is 503 while all keys are suspended, in the shape of the Messages API, and names no provider', function()
    local self = with { transparent = false }
    self:reply('p1', { status = 401, body = '{}' })
    self:request()
    local answer = ask(self)
    assert.equal(503, answer.status)
    assert.equal('error', answer.json.type)
    assert.equal('api_error', answer.json.error.type)
    assert.matches('no provider can serve now', answer.json.error.message)
    assert.is_nil(answer.body:find('p1', 1, true))
  end)

  it('is 200 again as soon as the key may be used', function()
    local self = with { transparent = false }
    self:reply('p1', { status = 529, body = '{}', headers = { ['retry-after'] = '5' } })
    self:request()
    assert.equal(503, ask(self).status)
    stage.advance(6000)
    assert.equal(200, ask(self).status)
  end)

  it('is 200 when one of two providers can serve, and when clients bring credentials of their own', function()
    for _, second in ipairs { {}, { transparent = true, keys = {} } } do
      local self = with({ transparent = false }, second)
      self:reply('p1', { status = 401, body = '{}' })
      self:reply('p2', { status = 200 })
      self:request()
      assert.equal(200, ask(self).status)
    end
  end)

  it('is 503 without a credential for any client', function()
    assert.equal(503, ask(with { transparent = false, keys = {} }).status)
  end)

  it('is 503 from the beginning of a drain, while /health is 200', function()
    local self = with {}
    ready.set_draining(true)
    local answer = ask(self)
    assert.equal(503, answer.status)
    assert.matches('stopping', answer.json.error.message)
    assert.equal(200, self:request({ method = 'GET', path = '/health' }).status)
  end)
end)
