-- SPDX-License-Identifier: Apache-2.0
-- The table of CONFIG: what the client sends, who it is then, and what goes upstream.
local stage = require 'support.stage'
local client_auth = require 'ccrelay.exchange.client_auth'
local sha256 = require 'ccrelay.util.sha256'

local PROVIDERS = {
  { name = 'a', type = 'anthropic', transparent = true, keys = { { key = 'sk-relay-a', priority = 2 } } },
  { name = 'z', type = 'zai', keys = { { key = 'sk-relay-z', priority = 1 } } },
}
local SUBSCRIPTION = 'Bearer sk-ant-oat01-abc'

local function ask(rules, headers, path)
  local self = stage.new { providers = PROVIDERS, server = { auth = rules } }
  self:reply('a', { status = 500, body = '{}' })
  local answer, exchange = self:request { headers = headers, path = path }
  local seen = {}
  for index, attempt in ipairs(exchange.tries) do
    seen[index] = (attempt.headers.authorization or '-') .. ' ' .. (attempt.headers['x-api-key'] or '-')
  end
  return answer, seen, exchange
end

local OWN = { '- sk-relay-a', '- sk-relay-z' }

local function assert_refused(rules, headers)
  local answer, seen, exchange = ask(rules, headers)
  assert.equal(401, answer.status)
  assert.equal('authentication_error', answer.json.error.type)
  assert.equal('false', answer.headers['x-should-retry'])
  assert.same({}, seen)
  assert.is_nil(exchange.accepted)
end

describe('without server.auth', function()
  it('a client without a credential uses the relay\'s keys', function()
    assert.same(OWN, select(2, ask(nil, {})))
  end)

  it('a client\'s header goes unchanged to a transparent provider alone', function()
    assert.same({ 'Bearer theirs -', '- sk-relay-z' }, select(2, ask(nil, { authorization = 'Bearer theirs' })))
    assert.same({ '- theirs', '- sk-relay-z' }, select(2, ask(nil, { ['x-api-key'] = 'theirs' })))
    assert.same({ 'Bearer a b', '- sk-relay-z' }, select(2, ask(nil,
      { authorization = 'Bearer a', ['x-api-key'] = 'b' })))
    assert.same({ SUBSCRIPTION .. ' -', '- sk-relay-z' }, select(2, ask(nil, { authorization = SUBSCRIPTION })))
  end)

  for host, status in pairs {
    ['localhost'] = 200, ['localhost:8787'] = 200, ['LOCALHOST'] = 200, ['127.0.0.1:1'] = 200, ['127.9.9.9'] = 200,
    ['[::1]:8787'] = 200, ['[::1]'] = 200, ['localhost.'] = 200, ['evil.example'] = 403, ['10.0.0.1:8787'] = 403,
    ['localhost.evil.example'] = 403, ['127.0.0.1.evil.example'] = 403, [''] = 403, ['[::2]'] = 403,
      ['a@localhost'] = 403,
  } do
    it('host "' .. host .. '" gets ' .. status, function()
      local answer, seen = ask(nil, { host = host }, '/v1/models/x')
      assert.equal(status == 200 and 405 or 403, answer.status)
      assert.same({}, seen)
      if status == 403 then assert.equal('false', answer.headers['x-should-retry']) end
    end)
  end

  it('a web page of another origin gets 403, one of this machine does not', function()
    assert.equal(403, ask(nil, { origin = 'https://evil.example' }).status)
    assert.equal(403, ask(nil, { origin = 'null' }).status)
    assert.equal(200, ask(nil, { origin = 'http://localhost:3000' }).status)
    assert.equal(200, ask(nil, { origin = 'http://[::1]' }).status)
  end)

  it('a unix socket takes any host', function()
    local self = stage.new { providers = PROVIDERS }
    assert.equal(200, (self:request { peer = 'unix', headers = { host = 'anything' } }).status)
  end)
end)

describe('with a key', function()
  local rules = { api_key = { 'relay-key-1', 'relay-key-2' } }

  for what, headers in pairs {
    ['x-api-key'] = { ['x-api-key'] = 'relay-key-2' }, ['a bearer'] = { authorization = 'Bearer relay-key-1' },
    ['a bearer in small letters'] = { authorization = 'bearer  relay-key-1 ' },
    ['both, the same'] = { authorization = 'Bearer relay-key-1', ['x-api-key'] = 'relay-key-1' },
    ['both, one of them known'] = { authorization = 'Bearer other', ['x-api-key'] = 'relay-key-1' },
    ['both, the other of them known'] = { authorization = 'Bearer relay-key-1', ['x-api-key'] = 'other' },
  } do
    it('a client is known by ' .. what .. ', and the relay\'s keys go upstream', function()
      assert.same(OWN, select(2, ask(rules, headers)))
    end)
  end

  for what, headers in pairs {
    ['no key'] = {}, ['an empty key'] = { ['x-api-key'] = '' }, ['a wrong key'] = { ['x-api-key'] = 'relay-key-3' },
    ['the beginning of a key'] = { ['x-api-key'] = 'relay-key-' },
      ['a longer key'] = { ['x-api-key'] = 'relay-key-11' },
    ['an empty bearer'] = { authorization = 'Bearer ' }, ['a bearer without a space'] = { authorization = 'Bearer' },
    ['a wrong bearer'] = { authorization = 'bearer x' }, ['another scheme'] = { authorization = 'Basic relay-key-1' },
    ['the bare key as authorization'] = { authorization = 'relay-key-1' },
    ['a subscription that is not allowed'] = { authorization = SUBSCRIPTION },
    ['two different keys'] = { authorization = 'Bearer relay-key-1', ['x-api-key'] = 'relay-key-2' },
    ['a megabyte'] = { ['x-api-key'] = ('k'):rep(1048576) },
  } do
    it('a client is refused with ' .. what, function() assert_refused(rules, headers) end)
  end

  it('all that are refused get the same answer', function()
    local function words(headers)
      local answer = ask(rules, headers)
      return (answer.body:gsub('req_ccr_%x+', 'ID'))
    end
    assert.equal(words {}, words { ['x-api-key'] = 'wrong' })
    assert.equal(words {}, words { ['x-api-key'] = '' })
  end)

  it('every configured key is compared, whatever was sent', function()
    local entries = client_auth.new { api_key = { 'a', 'b', 'c' }, bearer_secret = 'd' }
    local real, count = stage.C.cc_equal, 0
    stage.C.cc_equal = function(...)
      count = count + 1
      return real(...)
    end
    local counts = {}
    for index, key in ipairs { '', 'a', 'c', 'nothing' } do
      count = 0
      entries:identify(nil, key)
      counts[index] = count
    end
    stage.C.cc_equal = nil
    assert.same({ 8, 8, 8, 8 }, counts)
  end)

  it('a digest stands for its key; who has expired or is revoked gets the reason', function()
    local function digest(key) return sha256.hex(key, 32) end
    local made = client_auth.new { clients = {
      { name = 'now', key_sha256 = digest 'a', expires = '2999-12-31' },
      { name = 'old', key = 'b', expires = '2020-01-01' },
      { name = 'gone', key_sha256 = digest 'c', revoked = '2026-01-01T00:00:00Z' },
    } }
    assert.equal('now', made:identify(nil, 'a').name)
    assert.equal('now', made:identify('Bearer a', nil).name)
    assert.is_nil(made:identify(nil, digest 'a'))
    assert.same({ nil, 'the key of client "old" has expired' }, { made:identify(nil, 'b') })
    assert.same({ nil, 'the key of client "gone" has been revoked' }, { made:identify('Bearer c', nil) })
    assert.is_false(made.open)
    local answer = ask({ clients = { { name = 'old', key = 'b', expires = '2020-01-01' } } }, { ['x-api-key'] = 'b' })
    assert.equal(401, answer.status)
    assert.match('the key of client \\"old\\" has expired', answer.body)
  end)

  it('no Host is asked for', function()
    assert.equal(200, ask(rules, { host = 'relay.example', ['x-api-key'] = 'relay-key-1' }).status)
  end)

  it('no key is asked for at the doors of probes', function()
    for _, path in ipairs { '/', '/health', '/health/ready', '/api/hello' } do
      local self = stage.new { providers = PROVIDERS, server = { auth = rules } }
      assert.equal(200, (self:request { method = 'GET', path = path }).status)
      assert.equal(200, (self:request { method = 'HEAD', path = path }).status)
    end
  end)

  it('paths that do not exist do not show without a key', function()
    for _, path in ipairs { '/v1/nothing', '//v1/messages', '/v1/messages/', '/V1/messages', '/health/',
      '/v1/%6dessages' } do
      assert.equal(401, ask(rules, {}, path).status)
      assert.equal(404, ask(rules, { ['x-api-key'] = 'relay-key-1' }, path).status)
    end
  end)

  it('an empty one in the list opens nothing', function()
    local made = client_auth.new { api_key = { '' }, clients = { { name = 'x', key = '' } }, allow_bearer = false,
      bearer_secret = 's' }
    assert.is_nil(made:identify(nil, ''))
    assert.is_nil(made:identify('Bearer ', ''))
    assert.is_nil(made:identify(nil, nil))
  end)
end)

describe('named clients', function()
  local rules = { clients = { { name = 'alice', key = 'alice-key' }, { name = 'bob', key = 'bob-key' } } }

  it('are named in the log', function()
    local self = stage.new { providers = PROVIDERS, server = { auth = rules } }
    self:request { headers = { ['x-api-key'] = 'bob-key' } }
    local fields, line = self:line()
    assert.equal('bob', fields.client)
    assert.is_nil(line:find 'bob%-key')
  end)

  it('use the relay\'s keys', function()
    assert.same(OWN, select(2, ask(rules, { authorization = 'Bearer alice-key' })))
    assert_refused(rules, { ['x-api-key'] = 'carol-key' })
  end)
end)

describe('bearers', function()
  it('with a secret must be it', function()
    local rules = { allow_bearer = true, bearer_secret = 'the-secret' }
    assert.same(OWN, select(2, ask(rules, { authorization = 'Bearer the-secret' })))
    assert_refused(rules, { authorization = 'Bearer other' })
    assert_refused(rules, { ['x-api-key'] = 'the-secret' })
    assert_refused(rules, {})
  end)

  it('with keys but without a secret must be one of the keys', function()
    local rules = { api_key = 'relay-key-1', allow_bearer = true }
    assert.same(OWN, select(2, ask(rules, { authorization = 'Bearer relay-key-1' })))
    assert_refused(rules, { authorization = 'Bearer other' })
  end)

  it('without both are accepted and passed on', function()
    local rules = { allow_bearer = true }
    assert.same({ 'Bearer any -', '- sk-relay-z' }, select(2, ask(rules, { authorization = 'Bearer any' })))
    assert_refused(rules, {})
    assert_refused(rules, { ['x-api-key'] = 'any' })
  end)
end)

describe('subscriptions', function()
  local rules = { api_key = 'relay-key-1', allow_subscription = true }

  it('pass to transparent providers unchanged', function()
    assert.same({ SUBSCRIPTION .. ' -', '- sk-relay-z' }, select(2, ask(rules, { authorization = SUBSCRIPTION })))
  end)

  it('are told by their beginning alone', function()
    assert_refused(rules, { authorization = 'Bearer sk-ant-api03-abc' })
    assert_refused(rules, { authorization = 'Bearer sk-ant-oat' })
    assert_refused(rules, { ['x-api-key'] = 'sk-ant-oat01-abc' })
    assert_refused(rules, {})
  end)

  it('yield to a key of the relay', function()
    assert.same(OWN, select(2, ask(rules, { authorization = SUBSCRIPTION, ['x-api-key'] = 'relay-key-1' })))
  end)
end)
