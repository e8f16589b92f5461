-- SPDX-License-Identifier: Apache-2.0
local stage = require 'support.stage'

local function provider(name, type, fields)
  local settings = { name = name, type = type, keys = { { key = 'sk-' .. name } } }
  for key, value in pairs(fields or {}) do settings[key] = value end
  return settings
end

local function count(self, body)
  return self:request { path = '/v1/messages/count_tokens?beta=true', body = body or {} }
end

describe('count_tokens', function()
  it('asks the provider that would get the message', function()
    local self = stage.new { providers = { provider('z', 'zai', { model_mapping = { ['claude*'] = 'GLM' } }),
      provider('a', 'anthropic') } }
    self:reply('z', { status = 200, body = '{"input_tokens":42}' })
    local answer, exchange = count(self)
    assert.equal('{"input_tokens":42}', answer.body)
    assert.is_nil(answer.headers['x-ccrelay-estimated'])
    assert.equal('/v1/messages/count_tokens?beta=true', exchange.tries[1].target)
    assert.same({ model = '"GLM"' }, exchange.tries[1].edits)
    assert.is_false(exchange.tries[1].stream)
  end)

  it('tells C what a success must be: a number of tokens, or what the adapter reads', function()
    local C = require 'ccrelay.c'
    local _, exchange = count(stage.new())
    assert.equal(C.CC_SUCCESS_COUNT, exchange.tries[1].success)
    local self = stage.new { providers = { { name = 'b', type = 'bedrock', aws_region = 'eu-west-1',
      aws_access_key_id = 'i', aws_secret_access_key = 's' } } }
    _, exchange = count(self, { model = 'anthropic.claude-3-haiku-20240307-v1:0' })
    assert.equal(C.CC_SUCCESS_OBJECT, exchange.tries[1].success)
    _, exchange = stage.new():request { body = {} }
    assert.equal(C.CC_SUCCESS_MESSAGE, exchange.tries[1].success)
  end)

  it('is not sent as a stream, whatever the body says', function()
    local _, exchange = count(stage.new(), { stream = true })
    assert.is_false(exchange.tries[1].stream)
  end)

  it('is an estimate where the provider has none', function()
    local self = stage.new { providers = { provider('o', 'ollama') } }
    local answer, exchange = count(self, { system = ('s'):rep(400) })
    assert.equal(200, answer.status)
    assert.equal('true', answer.headers['x-ccrelay-estimated'])
    assert.equal(0, #exchange.tries)
    assert.is_true(answer.json.input_tokens >= 100 and answer.json.input_tokens < 130)
  end)

  it('does not ask another provider in its place', function()
    local named = { models = { 'claude-*' } }
    local self = stage.new { providers = { provider('o', 'ollama', named), provider('a', 'anthropic', named) } }
    local answer, exchange = count(self)
    assert.equal('true', answer.headers['x-ccrelay-estimated'])
    assert.equal(0, #exchange.tries)
  end)

  it('is an estimate when the provider answers 404', function()
    local self = stage.new()
    self:reply('one', { status = 404, body = '<html>' })
    local answer = count(self)
    assert.equal(200, answer.status)
    assert.equal('true', answer.headers['x-ccrelay-estimated'])
    assert.is_true(answer.json.input_tokens >= 1)
  end)

  it('is an estimate when no provider has a key', function()
    local answer = count(stage.new { providers = { provider('z', 'zai', { keys = {} }) } })
    assert.equal('true', answer.headers['x-ccrelay-estimated'])
  end)

  it('tries another provider once', function()
    local self = stage.new { providers = { provider('a', 'anthropic'), provider('b', 'zai'), provider('c', 'zai') } }
    for _, name in ipairs { 'a', 'b', 'c' } do self:reply(name,
      { status = 500, body = '{"message":"' .. name .. '"}' }) end
    local answer, exchange = count(self)
    assert.equal(2, #exchange.tries)
    assert.equal('b', answer.json.error.message)
  end)

  it('charges no limit, and minds none', function()
    local self = stage.new { providers = { provider('a', 'anthropic', { keys = { { key = 'k', rpm_limit = 1 } } }) } }
    self:reply('a', { status = 200, body = '{"input_tokens":1}' })
    for index = 1, 3 do
      local answer, exchange = count(self, { max_tokens = index })
      assert.equal(200, answer.status)
      assert.equal(1, #exchange.tries)
    end
    assert.equal(200, self:request().status)
    assert.equal(429, self:request().status)
    assert.equal('{"input_tokens":1}', count(self, { max_tokens = 9 }).body)
  end)

  it('puts no key aside', function()
    local self = stage.new()
    self:reply('one', { status = 429, body = '{}' }, { status = 401, body = '{}' }, { status = 529, body = '{}' },
      { status = 200 })
    for _ = 1, 3 do count(self) end
    assert.equal(200, self:request().status)
  end)

  it('refuses what is no Messages body', function()
    assert.equal(400, count(stage.new(), '{}' and { model = '' }).status)
  end)

  it('is no matter for the policy', function()
    local self = stage.new { policy = 'return function() error("never") end' }
    assert.equal(200, count(self).status)
    assert.equal(0, self:count 'never')
  end)
end)
