-- SPDX-License-Identifier: Apache-2.0
local stage = require 'support.stage'

local PROVIDERS = {
  { name = 'z', type = 'zai', keys = { { key = 'sk-z', priority = 9 } } },
  { name = 'a', type = 'anthropic', keys = { { key = 'sk-a' } } },
}

describe('batches and files', function()
  for _, path in ipairs { '/v1/messages/batches', '/v1/messages/batches/b1/results', '/v1/files',
    '/v1/files/f1/content' } do
    it('at ' .. path .. ' go to the first provider that has them', function()
      local self = stage.new { providers = PROVIDERS }
      self:reply('a', { status = 200, body = '{"id":"x"}' })
      local answer, exchange = self:request { method = 'GET', path = path .. '?x=1' }
      assert.equal('{"id":"x"}', answer.body)
      assert.equal('a.test', exchange.tries[1].origin.host)
      assert.equal(path .. '?x=1', exchange.tries[1].target)
      assert.equal('sk-a', exchange.tries[1].headers['x-api-key'])
    end)
  end

  for path, held in pairs {
    ['GET /v1/messages/batches'] = true, ['POST /v1/messages/batches'] = true, ['GET /v1/messages/batches/b'] = true,
    ['POST /v1/messages/batches/b/cancel'] = true, ['DELETE /v1/messages/batches/b'] = true,
    ['GET /v1/messages/batches/b/results'] = false, ['HEAD /v1/messages/batches/b'] = false,
    ['GET /v1/files'] = false, ['GET /v1/files/f/content'] = false, ['DELETE /v1/files/f'] = false,
  } do
    it((held and 'hold' or 'pass on') .. ' the answer to ' .. path, function()
      local self = stage.new { providers = PROVIDERS }
      local method, target = path:match '^(%S+) (.*)$'
      self:reply('a', { status = 200,
        body = '{"results_url":"https://api.anthropic.com/v1/messages/batches/b/results"}' })
      local answer, exchange = self:request { method = method, path = target,
        headers = { host = 'localhost:8787', ['x-forwarded-host'] = 'evil.example' } }
      local framing = held and stage.C.CC_FRAMING_MESSAGES or stage.C.CC_FRAMING_OPAQUE
      assert.equal(framing, exchange.tries[1].framing)
      assert.equal((held and 'http://localhost:8787' or 'https://api.anthropic.com')
        .. '/v1/messages/batches/b/results', answer.json.results_url)
    end)
  end

  for host, origin in pairs { ['relay.example'] = 'https://relay.example', ['[::1]:80'] = 'https://[::1]:80',
    ['a/b'] = '', ['a@b'] = '', ['a b'] = '', ['a:b'] = '', [''] = '' } do
    it('lead to "' .. origin .. '" for the host "' .. host .. '"', function()
      local self = stage.new { providers = PROVIDERS, server = { auth = { api_key = 'k' },
        tls = { cert = 'cert.pem', key = 'key.pem' } } }
      self:reply('a', { status = 200, body = '{"results_url":"https://x/v1/messages/batches/b/results"}' })
      local answer = self:request { method = 'GET', path = '/v1/messages/batches/b',
        headers = { host = host, ['x-api-key'] = 'k' } }
      assert.equal(origin .. '/v1/messages/batches/b/results', answer.json.results_url)
    end)
  end

  it('are an error when their addresses cannot be read', function()
    local self = stage.new { providers = PROVIDERS }
    self:reply('a', { status = 200, headers = { ['content-encoding'] = 'gzip' }, body = 'x' },
      { status = 200, complete = false, body = '{"a":' })
    for _ = 1, 2 do
      local answer = self:request { method = 'GET', path = '/v1/messages/batches/b' }
      assert.equal(502, answer.status)
      assert.is_truthy(answer.json.error.message:find('provider "a" answered with a batch', 1, true))
    end
  end)

  it('take bodies that are no JSON', function()
    local self = stage.new { providers = PROVIDERS }
    local answer, exchange = self:request { path = '/v1/files', body = '--boundary\r\nbytes' }
    assert.equal(200, answer.status)
    assert.same({}, exchange.tries[1].edits)
  end)

  it('use the client\'s credential where it has one, at a provider that is transparent', function()
    local self = stage.new { providers = {
      { name = 'a', type = 'anthropic', transparent = true, keys = { { key = 'sk-a' } } },
    } }
    local _, exchange = self:request { method = 'DELETE', path = '/v1/files/f',
      headers = { authorization = 'Bearer theirs' } }
    assert.same({ authorization = 'Bearer theirs' }, exchange.tries[1].headers)
    assert.equal('DELETE', exchange.tries[1].method)
  end)

  it('are unknown without such a provider', function()
    local self = stage.new { providers = { PROVIDERS[1] } }
    local answer = self:request { method = 'GET', path = '/v1/files' }
    assert.equal(404, answer.status)
    assert.equal('not_found_error', answer.json.error.type)
  end)

  it('pass errors on, and touch neither limits nor health', function()
    local self = stage.new { providers = { PROVIDERS[2] } }
    self:reply('a', { status = 404, body = '{"type":"error","error":{"type":"not_found_error","message":"no file"}}' },
      { status = 401, body = '{}' }, { status = 200 })
    assert.equal('no file', self:request({ method = 'GET', path = '/v1/files/f' }).json.error.message)
    assert.equal(401, self:request({ method = 'GET', path = '/v1/files/f' }).status)
    assert.equal(200, self:request().status)
  end)
end)
