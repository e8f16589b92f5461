-- SPDX-License-Identifier: Apache-2.0
-- The adapters in providers/: what each sends for a request.
local stage = require 'support.stage'

local function sent(settings, request, server)
  settings.name = settings.name or 'p'
  local self = stage.new { providers = { settings }, server = server }
  local answer, exchange = self:request(request or { path = '/v1/messages?beta=true' })
  return exchange.tries[1], answer
end

describe('anthropic', function()
  it('is at its own address', function()
    local attempt = sent { type = 'anthropic', base_url = false, keys = { { key = 'sk-ant-api03-x' } } }
    assert.equal('api.anthropic.com', attempt.origin.host)
    assert.equal(443, attempt.origin.port)
    assert.is_true(attempt.origin.tls)
  end)

  it('gets a key as x-api-key, and a subscription token as a bearer', function()
    assert.same({ ['x-api-key'] = 'sk-ant-api03-x' }, sent({ type = 'anthropic',
      keys = { { key = 'sk-ant-api03-x' } } }).headers)
    assert.same({ authorization = 'Bearer sk-ant-oat01-x', ['anthropic-beta'] = 'oauth-2025-04-20' },
      sent({ type = 'anthropic', keys = { { key = 'sk-ant-oat01-x' } } }).headers)
  end)

  for what, case in pairs {
    ['after the client\'s'] = { 'b-2,a-1', 'b-2,a-1,oauth-2025-04-20' },
    ['after those of several lines'] = { { 'b-2', 'a-1, c-3' }, 'b-2,a-1, c-3,oauth-2025-04-20' },
    ['not again'] = { 'b-2, oauth-2025-04-20,a-1', nil },
    ['not again when it is in a later line'] = { { 'b-2', 'oauth-2025-04-20' }, nil },
    ['beside one that only looks like it'] = { 'oauth-2025-04-201', 'oauth-2025-04-201,oauth-2025-04-20' },
  } do
    it('gets a subscription token with its beta ' .. what, function()
      local attempt = sent({ type = 'anthropic', keys = { { key = 'sk-ant-oat01-x' } } },
        { headers = { ['x-api-key'] = 'k', ['Anthropic-Beta'] = case[1] } }, { auth = { api_key = 'k' } })
      assert.equal('Bearer sk-ant-oat01-x', attempt.headers.authorization)
      assert.equal(case[2], attempt.headers['anthropic-beta'])
    end)
  end

  it('gets betas unchanged with any other key, and with a client\'s own token', function()
    local request = { headers = { ['anthropic-beta'] = 'a-1' } }
    local with_key = sent({ type = 'anthropic', keys = { { key = 'sk-ant-api03-x' } } }, request)
    assert.is_nil(with_key.headers['anthropic-beta'])
    request.headers.authorization = 'Bearer sk-ant-oat01-theirs'
    local attempt = sent({ type = 'anthropic', transparent = true, keys = { { key = 'sk-ant-oat01-x' } } }, request)
    assert.equal('Bearer sk-ant-oat01-theirs', attempt.headers.authorization)
    assert.is_nil(attempt.headers['anthropic-beta'])
  end)

  it('gets path, query and body unchanged', function()
    local attempt = sent { type = 'anthropic', keys = { { key = 'k' } } }
    assert.equal('/v1/messages?beta=true', attempt.target)
    assert.same({}, attempt.edits)
    assert.is_true(attempt.passes)
  end)

  it('gets another model name only if one is mapped', function()
    local settings = { type = 'anthropic', keys = { { key = 'k' } },
      model_mapping = { ['claude-sonnet-4-5'] = 'odd "name"', same = 'same' } }
    assert.same({ model = '"odd \\"name\\""' }, sent(settings).edits)
    assert.same({}, sent(settings, { body = { model = 'same' } }).edits)
  end)

  it('adds no credential to a request that has none', function()
    local attempt, answer = sent { type = 'anthropic', keys = {} }
    assert.is_nil(attempt)
    assert.equal(404, answer.status)
  end)
end)

describe('zai', function()
  it('is at its own address, with its own path before that of the API', function()
    local attempt = sent { type = 'zai', base_url = false, keys = { { key = 'zk' } } }
    assert.equal('api.z.ai', attempt.origin.host)
    assert.equal('/api/anthropic/v1/messages?beta=true', attempt.target)
    assert.same({ ['x-api-key'] = 'zk' }, attempt.headers)
  end)

  it('never gets the client\'s credential', function()
    local attempt = sent({ type = 'zai', keys = { { key = 'zk' } } },
      { headers = { authorization = 'Bearer theirs', ['x-api-key'] = 'theirs' } })
    assert.same({ ['x-api-key'] = 'zk' }, attempt.headers)
  end)

  it('can answer in another shape', function()
    local self = stage.new { providers = { { name = 'zai', type = 'zai', keys = { { key = 'zk' } } } } }
    self:reply('zai', { status = 400, body = '{"error":{"code":"1213","message":"[1213] no","type":"new_api_error"}}' })
    assert.same({ type = 'invalid_request_error', message = '[1213] no' }, self:request().json.error)
  end)
end)

describe('minimax', function()
  it('is at its own address and gets its key as a bearer token', function()
    local attempt = sent { type = 'minimax', base_url = false, keys = { { key = 'mk' } } }
    assert.equal('api.minimax.io', attempt.origin.host)
    assert.equal('/anthropic/v1/messages?beta=true', attempt.target)
    assert.same({ authorization = 'Bearer mk' }, attempt.headers)
  end)
end)

describe('ollama', function()
  it('is on this machine', function()
    local attempt = sent { type = 'ollama', base_url = false, keys = { { key = 'ollama' } } }
    assert.equal('localhost', attempt.origin.host)
    assert.equal(11434, attempt.origin.port)
    assert.is_false(attempt.origin.tls)
  end)

  it('gets its key as a bearer token, or none', function()
    assert.same({ authorization = 'Bearer ollama' }, sent({ type = 'ollama', keys = { { key = 'ollama' } } }).headers)
    assert.same({}, sent({ type = 'ollama', keys = {} }).headers)
    assert.same({}, sent({ type = 'ollama', keys = {} }, { headers = { authorization = 'Bearer theirs' } }).headers)
  end)
end)

describe('adapters', function()
  it('have at most 90 lines', function()
    for _, name in ipairs { 'anthropic', 'zai', 'minimax', 'ollama' } do
      local _, lines = stage.read('providers/' .. name .. '.lua'):gsub('\n', '\n')
      assert.is_true(lines <= 90)
    end
  end)
end)
