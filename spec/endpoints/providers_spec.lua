-- SPDX-License-Identifier: Apache-2.0
local stage = require 'support.stage'
local lists = require 'support.lists'

local get = lists.get
local PROVIDERS = lists.PROVIDERS

describe('/v1/providers', function()
  it('shows name, type, address, state and models, and no secret', function()
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

  it('shows the port of an address, and an IPv6 address in brackets', function()
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

  it('shows a provider that fails', function()
    local self = stage.new { providers = { PROVIDERS[1] } }
    self:reply('anthropic', { status = 529, body = '{}', headers = { ['retry-after'] = '5' } })
    self:request()
    assert.equal('cooling', self:request({ method = 'GET', path = '/v1/providers' }).json.data[1].state)
  end)

  it('has the state of the best key', function()
    local self = stage.new { providers = { { name = 'a', type = 'anthropic',
      keys = { { key = 'k1', priority = 2 }, { key = 'k2' } } } } }
    self:reply('a', { status = 401, body = '{}' }, { status = 200 })
    self:request()
    assert.equal('ready', self:request({ method = 'GET', path = '/v1/providers' }).json.data[1].state)
  end)
end)
