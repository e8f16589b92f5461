-- SPDX-License-Identifier: Apache-2.0
local stage = require 'support.stage'
local lists = require 'support.lists'

local get = lists.get

describe('/v1/models', function()
  it('lists models and mapped names, each once', function()
    local answer = get '/v1/models?limit=1000'
    assert.equal(200, answer.status)
    local ids = {}
    for index, model in ipairs(answer.json.data) do
      ids[index] = model.id
      assert.equal('model', model.type)
      assert.equal(model.id, model.display_name)
      assert.is_truthy(model.created_at:find '^%d%d%d%d%-%d%d%-%d%dT')
      assert.equal(model.created_at, os.date('!%Y-%m-%dT%H:%M:%SZ', model.created))
      assert.equal('model', model.object)
    end
    local mapped = answer.json.data[5]
    assert.same({ 'zai', 'zai' }, { mapped.owned_by, mapped.provider })
    assert.same({ 'claude-opus-5-5', 'claude-haiku-5-5', 'GLM-4.7', 'a model/x', 'claude-sonnet-4-5' }, ids)
    assert.equal(false, answer.json.has_more)
    assert.equal('list', answer.json.object)
    assert.equal('claude-opus-5-5', answer.json.first_id)
    assert.equal('claude-sonnet-4-5', answer.json.last_id)
  end)

  it('leaves out models that serves of the provider leaves out', function()
    local self = stage.new { providers = { { name = 'a', type = 'anthropic', keys = { { key = 'k' } },
      models = { 'claude-opus-5-5', 'claude-haiku-5-5' }, model_mapping = { ['claude-3'] = 'x' },
      serves = { 'claude-haiku-*' } } } }
    local answer = self:request { method = 'GET', path = '/v1/models' }
    assert.same({ 1, 'claude-haiku-5-5' }, { #answer.json.data, answer.json.first_id })
  end)

  it('is a list also if no provider names models', function()
    local answer = stage.new():request { method = 'GET', path = '/v1/models' }
    assert.is_truthy(answer.body:find('"data":[]', 1, true))
    assert.is_truthy(answer.body:find('"first_id":null', 1, true))
  end)

  it('accepts the key in either header, and makes no attempt', function()
    for _, headers in ipairs { { ['x-api-key'] = 'x' }, { authorization = 'Bearer x' } } do
      local answer, exchange = get('/v1/models', { headers = headers })
      assert.equal(200, answer.status)
      assert.equal(0, #exchange.tries)
    end
  end)

  it('shows one model', function()
    assert.equal('GLM-4.7', get('/v1/models/GLM-4.7').json.id)
    assert.equal('a model/x', get('/v1/models/a%20model%2Fx').json.id)
    local answer = get '/v1/models/hidden'
    assert.equal(404, answer.status)
    assert.equal('not_found_error', answer.json.error.type)
  end)
end)
