-- SPDX-License-Identifier: Apache-2.0
-- From the head of a request to its endpoint, and the errors on the way.
local stage = require 'support.stage'
local C = require 'ccrelay.c'

describe('a path', function()
  for path, allow in pairs {
    ['/v1/messages'] = 'POST', ['/v1/messages/count_tokens'] = 'POST', ['/v1/models'] = 'GET, HEAD',
    ['/v1/models/x'] = 'GET, HEAD', ['/v1/providers'] = 'GET, HEAD', ['/health'] = 'GET, HEAD', ['/'] = 'GET, HEAD',
    ['/health/ready'] = 'GET, HEAD', ['/api/hello'] = 'GET, HEAD',
    ['/v1/files'] = 'GET, HEAD, POST, DELETE',
  } do
    it(path .. ' allows ' .. allow, function()
      local self = stage.new()
      local answer = self:request { method = 'PATCH', path = path }
      assert.equal(405, answer.status)
      assert.equal(allow, answer.headers.allow)
      assert.equal('invalid_request_error', answer.json.error.type)
    end)
  end

  it('is matched without its query', function()
    assert.equal(200, stage.new():request({ path = '/v1/messages?beta=true&x=/v1/nothing' }).status)
    assert.equal(404, stage.new():request({ path = '/nothing?/v1/messages' }).status)
  end)

  for _, path in ipairs {
    '/v1/message', '/v1/messages/', '//v1/messages', '/v1//messages', '/v1/messages/batch', '/V1/MESSAGES',
    '/v1/%6Dessages', '/v1/messages;x', '/v1/./messages', '/healthz', '/v1/filesystem', '/v1/files-x', '*',
  } do
    it(path .. ' is unknown', function()
      local answer = stage.new():request { path = path }
      assert.equal(404, answer.status)
      assert.equal('not_found_error', answer.json.error.type)
      assert.is_truthy(answer.headers['request-id'])
    end)
  end

  it('is logged without a secret in it', function()
    local self = stage.new { server = { auth = { api_key = 'canary-key-of-a-client' } } }
    for path, shown in pairs {
      ['/v1/nope/canary-key-of-a-client'] = '/v1/nope/[redacted]', ['/v1/sk-ant-api03-abc/x'] = '/v1/[redacted]/x',
    } do
      local answer = self:request { path = path, headers = { ['x-api-key'] = 'canary-key-of-a-client' } }
      assert.same({ 404, 'there is no ' .. shown .. ' here' }, { answer.status, answer.json.error.message })
    end
    local answer = self:request { path = '/v1/models/canary-key-of-a-client', method = 'GET',
      headers = { ['x-api-key'] = 'canary-key-of-a-client' } }
    assert.equal('there is no model "[redacted]"', answer.json.error.message)
  end)
end)

describe('a path below one that is passed to a provider', function()
  local PROVIDER = { { name = 'a', type = 'anthropic', keys = { { key = 'sk-a' } } } }

  for _, rest in ipairs {
    '/..', '/../messages', '/x/../../messages', '/./x', '/x/.', '/...', '/x.', '/.x', '/', '//', '//x', '/x/',
    '/x//y', '/%2e%2e/messages', '/%2E%2E/messages', '/%2e./x', '/.%2E/x', '/%252e%252e/messages', '/x%2fy', '/x%2Fy',
    '/x%252fy', '/x%5cy', '/x%5Cy', '/..\\messages', '\\..\\messages', '/x;y', '/..;/messages', ';/../messages',
    '/x%3by', '/x%00', '/x%0d%0ay', '/%66ile', '/x:y', '/x@y', '/x,y', '/x+y', '%2f..', '%2e%2e', '.', '/x%c0%ae',
    '/x\0', '/x\127', '/\200',
  } do
    for _, root in ipairs { '/v1/files', '/v1/messages/batches' } do
      it('cannot be ' .. string.format('%q', root .. rest), function()
        local answer, exchange = stage.new({ providers = PROVIDER }):request { path = root .. rest .. '?a=b' }
        assert.equal(400, answer.status)
        assert.equal('invalid_request_error', answer.json.error.type)
        assert.is_truthy(answer.json.error.message:find('below ' .. root .. ' a path has segments of letters', 1, true))
        assert.same({}, exchange.tries)
      end)
    end
  end

  for _, path in ipairs { '/v1/files/file_011CNha8iCJcU1wXNR6q4V8w/content', '/v1/files/a.b~c-D_9',
    '/v1/messages/batches/msgbatch_01/results', '/v1/messages/batches/msgbatch_01/cancel' } do
    it('can be ' .. path, function()
      local _, exchange = stage.new({ providers = PROVIDER }):request { path = path .. '?after=/../x' }
      assert.equal(path .. '?after=/../x', exchange.tries[1].target)
    end)
  end

  it('is a name below /v1/models, in any encoding', function()
    local self = stage.new { providers = { { name = 'a', type = 'anthropic', keys = { { key = 'sk-a' } },
      models = { 'org/one:v1', 'two words' } } } }
    for path, id in pairs {
      ['/v1/models/org/one:v1'] = 'org/one:v1', ['/v1/models/org%2Fone%3av1'] = 'org/one:v1',
      ['/v1/models/two%20words'] = 'two words',
    } do
      assert.equal(id, self:request({ method = 'GET', path = path }).json.id)
    end
    for _, rest in ipairs { '', '.', '..', '../messages', '%2e%2e/messages', '%2E', 'x/%2e./y', '/x', 'x/', 'x%2f%2Fy',
      'x;y', 'x%3By', 'x\\y', 'x%5cy', 'x%00', 'x%7f' } do
      assert.equal(400, self:request({ method = 'GET', path = '/v1/models/' .. rest }).status, rest)
    end
  end)
end)

describe('a body', function()
  it('is accepted after the client is identified, and awaited', function()
    local self = stage.new { server = { auth = { api_key = 'relay-key-1' } } }
    local _, exchange = self:request { body_after = 300, headers = { ['x-api-key'] = 'relay-key-1' } }
    assert.is_true(exchange.accepted)
    assert.equal(200, exchange.answer.status)
    assert.equal('301', self:line().total_ms)
    _, exchange = self:request { body_after = 300 }
    assert.equal(401, exchange.answer.status)
    assert.is_nil(exchange.accepted)
    _, exchange = self:request { body_after = 300, path = '/nothing', headers = { ['x-api-key'] = 'relay-key-1' } }
    assert.equal(404, exchange.answer.status)
    assert.is_nil(exchange.accepted)
  end)

  it('that never arrives completely gives one log line', function()
    local self = stage.new()
    local exchange = self:requests { body_after = 5000, gone_after = 100 }
    assert.equal(0, #exchange.tries)
    assert.equal(1, self:count ' exchange ')
    assert.equal(0, self:count 'script error')
  end)

  for what, body in pairs { ['no JSON'] = '{"model":', ['no object'] = '[]', ['no model'] = '{}', nothing = '' } do
    it('that is ' .. what .. ' is refused', function()
      local self = stage.new()
      local answer, exchange = self:request { body = body }
      assert.equal(400, answer.status)
      assert.equal('invalid_request_error', answer.json.error.type)
      assert.equal(0, #exchange.tries)
    end)
  end

  for _, path in ipairs { '/v1/messages', '/v1/messages/count_tokens' } do
    it('in an unknown encoding is refused unread, with an id that is none of Anthropic\'s: ' .. path, function()
      local answer, exchange = stage.new():request {
        path = path, headers = { ['content-encoding'] = 'compress' }, body_after = 5000,
      }
      assert.equal(415, answer.status)
      assert.equal('invalid_request_error', answer.json.error.type)
      assert.equal('request_body_encoding_unsupported', answer.json.error.details.error_code)
      assert.is_truthy(answer.json.error.message:find('"compress"', 1, true))
      assert.equal(answer.json.request_id, answer.headers['request-id'])
      assert.is_truthy(answer.json.request_id:find '^ccr_')
      assert.is_nil(exchange.accepted)
    end)
  end

  for _, name in ipairs { 'gzip', 'GZIP', 'deflate', 'br', 'zstd', 'identity' } do
    it('in ' .. name .. ' is decoded', function()
      assert.equal(200, stage.new():request({ headers = { ['content-encoding'] = name } }).status)
    end)
  end

  for name, expected in pairs {
    CC_EENCODED = { 400, 'invalid_request_error', 'request_body_encoding_invalid' },
    CC_EDECODED_SIZE = { 413, 'request_too_large', 'request_body_too_large_after_decoding' },
  } do
    it('that cannot be decoded is refused: ' .. name, function()
      local self = stage.new()
      local answer, exchange = self:request { headers = { ['content-encoding'] = 'gzip' }, decode_error = C[name] }
      assert.same(expected, { answer.status, answer.json.error.type, answer.json.error.details.error_code })
      assert.is_truthy(answer.json.request_id:find '^req_ccr_')
      assert.equal(0, #exchange.tries)
    end)
  end
end)

describe('max_concurrent', function()
  it('refuses requests above it', function()
    local self = stage.new { server = { max_concurrent = 2 } }
    self.state.open_elsewhere = 1
    assert.equal(200, self:request().status)
    self.state.open_elsewhere = 2
    local answer = self:request()
    assert.equal(529, answer.status)
    assert.equal('overloaded_error', answer.json.error.type)
    assert.is_truthy(answer.headers['retry-after'])
  end)

  it('does not apply to /health', function()
    local self = stage.new { server = { max_concurrent = 1 } }
    self.state.open_elsewhere = 9
    assert.equal(200, self:request({ method = 'GET', path = '/health' }).status)
  end)
end)

describe('a request that this relay has sent', function()
  local own, other = 'x;a=1, ccrelay-scripted', 'ccrelay-of-another'

  for _, path in ipairs { '/v1/messages', '/v1/messages/count_tokens', '/v1/files/f', '/v1/models', '/nothing' } do
    it('is a 508 at ' .. path .. ', before it is asked for a key', function()
      local self = stage.new { server = { auth = { api_key = 'k' } } }
      local answer, exchange = self:request { path = path, headers = { ['CDN-Loop'] = own } }
      assert.same({ 508, 'api_error', 'false' },
        { answer.status, answer.json.error.type, answer.headers['x-should-retry'] })
      assert.equal(0, #exchange.tries)
      assert.equal(401, self:request({ path = '/v1/messages', headers = { ['CDN-Loop'] = other } }).status)
    end)
  end
end)

describe('an upstream', function()
  it('is never named by the request', function()
    local self = stage.new()
    local _, exchange = self:request {
      path = '/v1/messages?base_url=http://evil.test', headers = { ['x-forwarded-host'] = 'evil.test' },
      body = { base_url = 'http://evil.test', api_base = 'http://evil.test' },
    }
    assert.equal('one.test', exchange.tries[1].origin.host)
  end)
end)
