-- SPDX-License-Identifier: Apache-2.0
-- The endpoints that are answered from memory.
local stage = require 'support.stage'

local PROVIDERS = {
  { name = 'anthropic', type = 'anthropic', keys = { { key = 'CANARY-a' } },
    models = { 'claude-opus-5-5', 'claude-haiku-5-5' } },
  { name = 'zai', type = 'zai', keys = { { key = 'CANARY-z' } }, models = { 'GLM-4.7', 'claude-opus-5-5' },
    model_mapping = { ['claude-sonnet-4-5'] = 'GLM-4.7', ['claude-3*'] = 'GLM-4.5', ['a model/x'] = 'GLM-4.7' } },
  { name = 'off', type = 'zai', enabled = false, keys = { { key = 'CANARY-o' } }, models = { 'hidden' } },
}

local function get(path, more)
  local request = { method = 'GET', path = path }
  for name, value in pairs(more or {}) do request[name] = value end
  local self = stage.new { providers = PROVIDERS }
  local answer, exchange = self:request(request)
  return answer, exchange, self
end

describe('/v1/models', function()
  it('lists models and the names clients use, once each', function()
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

  it('leaves out what serves of the provider leaves out', function()
    local self = stage.new { providers = { { name = 'a', type = 'anthropic', keys = { { key = 'k' } },
      models = { 'claude-opus-5-5', 'claude-haiku-5-5' }, model_mapping = { ['claude-3'] = 'x' },
      serves = { 'claude-haiku-*' } } } }
    local answer = self:request { method = 'GET', path = '/v1/models' }
    assert.same({ 1, 'claude-haiku-5-5' }, { #answer.json.data, answer.json.first_id })
  end)

  it('is a list without providers\' models, too', function()
    local answer = stage.new():request { method = 'GET', path = '/v1/models' }
    assert.is_truthy(answer.body:find('"data":[]', 1, true))
    assert.is_truthy(answer.body:find('"first_id":null', 1, true))
  end)

  it('takes the key in either header, and asks no upstream', function()
    for _, headers in ipairs { { ['x-api-key'] = 'x' }, { authorization = 'Bearer x' } } do
      local answer, exchange = get('/v1/models', { headers = headers })
      assert.equal(200, answer.status)
      assert.equal(0, #exchange.tries)
    end
  end)

  it('shows one', function()
    assert.equal('GLM-4.7', get('/v1/models/GLM-4.7').json.id)
    assert.equal('a model/x', get('/v1/models/a%20model%2Fx').json.id)
    local answer = get '/v1/models/hidden'
    assert.equal(404, answer.status)
    assert.equal('not_found_error', answer.json.error.type)
  end)
end)

describe('/v1/providers', function()
  it('tells name, type, address, state and models, and nothing secret', function()
    local answer = get '/v1/providers'
    assert.same({
      { name = 'anthropic', type = 'anthropic', base_url = 'http://anthropic.test', active = true,
        state = 'ready', models = { 'claude-opus-5-5', 'claude-haiku-5-5' } },
      { name = 'zai', type = 'zai', base_url = 'http://zai.test', active = true,
        state = 'ready', models = { 'GLM-4.7', 'claude-opus-5-5' } },
    }, answer.json.data)
    assert.equal('list', answer.json.object)
    assert.is_nil(answer.body:find 'CANARY')
  end)

  it('tells the port of an address, and an address of IPv6 in brackets', function()
    local bases = { 'http://localhost:11434', 'https://[fd00::1]:8443/base', 'https://a.example:443',
      'http://10.0.0.1' }
    local providers = {}
    for index, base in ipairs(bases) do
      providers[index] = { name = 'p' .. index, type = 'anthropic', base_url = base, keys = { { key = 'k' } } }
    end
    local answer = stage.new({ providers = providers }):request { method = 'GET', path = '/v1/providers' }
    local told = {}
    for index, provider in ipairs(answer.json.data) do told[index] = provider.base_url end
    assert.same({ bases[1], bases[2], 'https://a.example', bases[4] }, told)
  end)

  it('tells of a provider in trouble', function()
    local self = stage.new { providers = { PROVIDERS[1] } }
    self:reply('anthropic', { status = 529, body = '{}', headers = { ['retry-after'] = '5' } })
    self:request()
    assert.equal('cooling', self:request({ method = 'GET', path = '/v1/providers' }).json.data[1].state)
  end)

  it('is as well as the best key', function()
    local self = stage.new { providers = { { name = 'a', type = 'anthropic',
      keys = { { key = 'k1', priority = 2 }, { key = 'k2' } } } } }
    self:reply('a', { status = 401, body = '{}' }, { status = 200 })
    self:request()
    assert.equal('ready', self:request({ method = 'GET', path = '/v1/providers' }).json.data[1].state)
  end)
end)

describe('the doors of probes', function()
  for path, member in pairs { ['/'] = 'name', ['/health'] = 'status', ['/api/hello'] = 'message' } do
    it(path .. ' answers 200', function()
      for _, method in ipairs { 'GET', 'HEAD' } do
        local answer, exchange = get(path, { method = method, headers = { host = 'any.example' } })
        assert.equal(200, answer.status)
        assert.is_string(answer.json[member])
        assert.equal(0, #exchange.tries)
      end
    end)
  end
end)

describe('overview.describe', function()
  it('tells the state of every key, and nothing secret', function()
    local self = stage.new { providers = { { name = 'a', type = 'anthropic',
      models = { 'claude-*' }, keys = { { key = 'CANARY-1', priority = 3 } } },
      { name = 'o', type = 'ollama', models = { 'claude-*' }, keys = {} } } }
    self:reply('a', { status = 429, headers = { ['retry-after'] = '60' }, body = '{}' })
    self:request()
    local list = require('ccrelay.health.overview').describe(self.current)
    assert.equal('limited', list[1].keys[1].state)
    assert.equal(59999, list[1].keys[1].ready_in_ms)
    assert.equal('a/1', list[1].keys[1].id)
    assert.equal('o', list[2].keys[1].id)
    assert.is_nil(require('ccrelay.util.json').encode(list):find 'CANARY')
  end)
end)
