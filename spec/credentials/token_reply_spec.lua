-- SPDX-License-Identifier: Apache-2.0
local world = require 'support.credential_world'
world.reset()
local token_reply = require 'ccrelay.credentials.token_reply'
local json = world.json

local NOW = world.NOW

local function read(body, options)
  options = options or {}
  local answer = { status = options.status or 200, body = type(body) == 'table' and json.encode(body) or body }
  return token_reply.read(answer, 'it', NOW, options.secrets, options.shape)
end

local function message(body, options)
  local reply, failure = read(body, options)
  assert.is_nil(reply)
  return failure.message, failure
end

describe('ccrelay.credentials.token_reply', function()
  local function life(more)
    more.access_token = 'token'
    return read(more).expires - NOW
  end

  it('gives a token its stated life, 1 s to 24 h, and 1 h if none is stated', function()
    assert.same({ token = 'token', expires = NOW + 3599000 }, (read { access_token = 'token', expires_in = 3599 }))
    assert.equal(3599000, life { expires_in = '3599' })
    assert.equal(3600000, life {})
    assert.equal(3600000, life { expires_in = json.null })
    assert.equal(3600000, life { expires_in = 'soon' })
    assert.equal(3600000, life { expires_in = { 1 } })
    assert.equal(1000, life { expires_in = 0 })
    assert.equal(1000, life { expires_in = -5 })
    assert.equal(86400000, life { expires_in = 1e300 })
    assert.equal(120000, life { expires_on = tostring(NOW / 1000 + 120) })
    assert.equal(60000, life { expires_in = 60, expires_on = tostring(NOW / 1000 + 120) })
  end)

  it('reads an expiry that is an RFC 3339 time', function()
    local shape = { token = 'accessToken', time = 'expireTime' }
    local soon = os.date('!%Y-%m-%dT%H:%M:%SZ', NOW / 1000 + 90)
    assert.same({ token = 't', expires = NOW + 90000 }, (read({ accessToken = 't', expireTime = soon },
      { shape = shape })))
    assert.equal(NOW + 3600000, read({ accessToken = 't', expireTime = 'x' }, { shape = shape }).expires)
  end)

  it('refuses invalid tokens', function()
    assert.equal('it answered without access_token', message {})
    assert.equal('it answered without access_token', message { access_token = '' })
    assert.equal('it answered without access_token', message { access_token = json.null })
    for _, token in ipairs { 'a\nb', 'a\0', 'a b', 'a\127', 'a\233', 5, { 'a' }, true } do
      assert.equal('it answered with an access_token that contains bytes that no token may have',
        message { access_token = token })
    end
    assert.equal('it answered with a token of type "mac", not Bearer', message { access_token = 't',
      token_type = 'mac' })
    assert.is_table(read { access_token = 't', token_type = 'bearer' })
  end)

  it('refuses invalid answers', function()
    assert.equal('it answered with something that is not a JSON object', message '<html>')
    assert.equal('it answered with something that is not a JSON object', message '"token"')
    assert.equal('it answered with something that is not a JSON object', message '')
    local long = json.encode { access_token = 't', more = ('x'):rep(65536) }
    assert.equal('it answered with more than 65536 bytes', message(long))
    assert.equal('it answered with a redirect (status 302), which is not followed', message('', { status = 302 }))
    assert.equal('it refused with status 502 and no message', message('<html>', { status = 502 }))
  end)

  it('passes on the message of a refusal, in both forms', function()
    local text, failure = message({ error = 'invalid_grant', error_description = 'Bad\r\n Request' }, { status = 400 })
    assert.equal('it refused with status 400: invalid_grant: Bad Request', text)
    assert.equal('invalid_grant', failure.code)
    assert.equal(400, failure.status)
    local inner = { code = 403, message = 'denied', status = 'PERMISSION_DENIED' }
    assert.equal('it refused with status 403: PERMISSION_DENIED: denied', message({ error = inner }, { status = 403 }))
    assert.equal('it refused with status 403: denied', message({ error = { message = 'denied' } }, { status = 403 }))
  end)

  it('removes secrets from messages', function()
    local body = { error = 'invalid',
      error_description = 'no s%ecr-t+a, eyJhbGciOi.eyJpc3Mi.sig nor token=abcdef here' }
    assert.equal('it refused with status 400: invalid: no [redacted], [redacted] nor token=[redacted] here',
      message(body, { status = 400, secrets = { 's%ecr-t+a', 's%ecr-', 'x' } }))
    assert.equal(2000, #token_reply.words(('y'):rep(5000)))
  end)
end)
