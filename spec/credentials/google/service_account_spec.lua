-- SPDX-License-Identifier: Apache-2.0
local world = require 'support.credential_world'
local file = require 'support.google_file'
local json = world.json

local google = file.google
local with, info_of, wrong = file.with, file.info_of, file.wrong
local has, refusal = file.has, file.refusal
local TOKEN = file.TOKEN
local SCOPE, GOOD = file.SCOPE, file.GOOD

describe('service_account', function()
  it('signs a JWT and exchanges it for a token', function()
    local state = with 'service_account'
    local value, expires = world.fetch(google)
    assert.same({ token = 'ya29' }, value)
    assert.equal(world.NOW + 3599000, expires)
    local header = '{"alg":"RS256","kid":"key-1","typ":"JWT"}'
    local claims = ('{"aud":"https://oauth2.googleapis.com/token","exp":%d,"iat":%d,"iss":'
      .. '"relay@example-project.iam.gserviceaccount.com","scope":"%s"}'):format(world.NOW / 1000 + 3600,
        world.NOW / 1000, SCOPE)
    local request = state.requests[1]
    assert.same({
      grant_type = 'urn:ietf:params:oauth:grant-type:jwt-bearer', assertion = 'jwt:' .. header .. claims,
    }, world.form(request.body))
    assert.matches('^grant_type=urn%%3Aietf%%3Aparams%%3Aoauth%%3Agrant%-type%%3Ajwt%-bearer&assertion=jwt%%3A',
      request.body)
    assert.same({ accept = 'application/json', ['content-type'] = 'application/x-www-form-urlencoded' },
      request.headers)
    assert.equal('POST', request.method)
    assert.equal(65536, request.answer_bytes)
  end)

  it('sends the JWT to token_uri, with the same audience', function()
    local info = info_of 'service_account'
    info.token_uri, info.private_key_id = 'https://accounts.google.com/o/oauth2/token', nil
    local state = with(info, { ['POST https://accounts.google.com/o/oauth2/token'] = GOOD })
    assert.equal('ya29', world.fetch(google).token)
    has(world.form(state.requests[1].body).assertion, '"aud":"https://oauth2.googleapis.com/token"')
    has(world.form(state.requests[1].body).assertion, '{"alg":"RS256","typ":"JWT"}')
    info.token_uri = nil
    with(info)
    assert.equal('ya29', world.fetch(google).token)
    info.token_uri = 'http://127.0.0.1:9/token'
    with(info, { ['POST http://127.0.0.1:9/token'] = GOOD })
    assert.equal('ya29', world.fetch(google).token)
  end)

  it('finds a key that cannot be used', function()
    local info = info_of 'service_account'
    info.private_key = '-----BEGIN EC PRIVATE KEY-----\nCANARY7f3a9d\n-----END EC PRIVATE KEY-----\n'
    has(wrong(info), 'private_key is not a usable RSA private key in PEM; make a new key of type JSON')
    info.private_key = nil
    has(wrong(info), 'private_key is missing')
    info.private_key, info.client_email = 'x', json.null
    has(wrong(info), 'client_email is missing')
    info = info_of 'service_account'
    info.token_uri = 'https://evil.example/token'
    has(wrong(info), 'token_uri goes to https://evil.example, which is refused')
  end)

  it('says what to do when the account or key is gone', function()
    with('service_account', { [TOKEN] = refusal(400, 'invalid_grant', 'Invalid JWT Signature.') })
    local _, problem = world.fetch(google)
    assert.is_true(problem.final)
    assert.equal('Google (https://oauth2.googleapis.com/token) refused with status 400: invalid_grant: Invalid JWT '
      .. 'Signature.; '
      .. 'check that the service account and its key still exist (make a new key if not) and that the clock of this '
      .. 'machine '
      .. 'is right', problem.message)
  end)
end)
