-- SPDX-License-Identifier: Apache-2.0
-- The types of credentials files that need no token of somebody else: what is asked, byte for byte.
local world = require 'support.credential_world'
world.reset()
local google = require 'ccrelay.credentials.google'
local json = world.json

local NAMED = 'GOOGLE_APPLICATION_CREDENTIALS'
local TOKEN = 'POST https://oauth2.googleapis.com/token'
local TARGET = 'https://iamcredentials.googleapis.com/v1/projects/-/serviceAccounts/'
  .. 'target@example-project.iam.gserviceaccount.com:generateAccessToken'
local SCOPE = 'https://www.googleapis.com/auth/cloud-platform'
local GOOD = { body = { access_token = 'ya29', expires_in = 3599, token_type = 'Bearer' } }

local function with(info, answers)
  local text = type(info) == 'string' and world.data(info) or json.encode(info)
  return world.reset { env = { [NAMED] = '/key.json' }, files = { ['/key.json'] = text },
    answers = answers or { [TOKEN] = GOOD } }
end

local function info_of(name)
  local _, info = world.data(name)
  return info
end

local function wrong(info)
  with(info)
  local list = world.examine(google)
  assert.equal(1, #list)
  return list[1]
end

local function refusal(status, code, description)
  return { status = status, body = { error = code, error_description = description } }
end

local function has(text, part)
  assert.is_truthy(text:find(part, 1, true), text)
end

describe('service_account', function()
  it('signs a statement and changes it for a token', function()
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

  it('sends it to token_uri, meant for the same audience', function()
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

describe('authorized_user', function()
  it('changes the refresh token for a token', function()
    local state = with 'authorized_user'
    assert.same({ token = 'ya29', quota_project = 'example-quota' }, (world.fetch(google)))
    assert.equal('grant_type=refresh_token&client_id=id.apps.googleusercontent.com'
      .. '&client_secret=CANARY7f3a9d-client-secret&refresh_token=1%2F%2FCANARY7f3a9d-refresh', state.requests[1].body)
    local info = info_of 'authorized_user'
    info.rapt_token = 'rapt'
    state = with(info)
    world.fetch(google)
    assert.equal('rapt', world.form(state.requests[1].body).rapt)
  end)

  it('wants to be logged in again when Google says so, without secrets in its words', function()
    local words = 'Token 1//CANARY7f3a9d-refresh has been expired or revoked.'
    for _, code in ipairs { 'invalid_grant', 'invalid_client', 'unauthorized_client' } do
      with('authorized_user', { [TOKEN] = refusal(400, code, words) })
      local _, problem = world.fetch(google)
      assert.is_true(problem.final)
      assert.equal('Google (https://oauth2.googleapis.com/token) refused with status 400: ' .. code
        .. ': Token [redacted] has been expired or revoked.; the login has ended or was revoked: '
        .. 'run `gcloud auth application-default login`', problem.message)
    end
  end)

  it('names what is missing', function()
    for _, name in ipairs { 'client_id', 'client_secret', 'refresh_token' } do
      local info = info_of 'authorized_user'
      info[name] = ''
      has(wrong(info), name .. ' is missing, empty or not a string: run `gcloud auth application-default login`')
    end
  end)
end)

describe('impersonated_service_account', function()
  local function answers(reply)
    return { [TOKEN] = GOOD, ['POST ' .. TARGET] = reply or { body = { accessToken = 'acted',
      expireTime = '2026-11-18T11:30:00Z' } } }
  end

  it('asks with the source\'s token for one of the account', function()
    local state = with('impersonated', answers())
    local value, expires = world.fetch(google)
    assert.same({ token = 'acted' }, value)
    assert.equal(os.time { year = 2026, month = 11, day = 18, hour = 11, min = 30 } * 1000
      - os.time { year = 1970, month = 1, day = 1, hour = 0 } * 1000, expires)
    assert.equal('refresh_token', world.form(state.requests[1].body).grant_type)
    assert.same({
      accept = 'application/json', ['content-type'] = 'application/json', authorization = 'Bearer ya29',
    }, state.requests[2].headers)
    assert.equal('{"delegates":["delegate@example-project.iam.gserviceaccount.com"],"lifetime":"3600s","scope":["'
      .. SCOPE .. '"]}',
      state.requests[2].body)
  end)

  it('leaves out delegates it has none of, and pays as the outer file says', function()
    local info = info_of 'impersonated'
    info.delegates, info.quota_project_id = json.null, 'outer'
    local state = with(info, answers())
    assert.equal('outer', world.fetch(google).quota_project)
    assert.equal('{"lifetime":"3600s","scope":["' .. SCOPE .. '"]}', state.requests[2].body)
    info.delegates = json.array {}
    state = with(info, answers())
    world.fetch(google)
    assert.equal('{"lifetime":"3600s","scope":["' .. SCOPE .. '"]}', state.requests[2].body)
  end)

  it('takes sources of any type, also itself', function()
    for _, name in ipairs { 'service_account', 'impersonated', 'external_file', 'external_authorized_user' } do
      local info = info_of 'impersonated'
      info.source_credentials = info_of(name)
      local all = answers()
      all['POST https://sts.googleapis.com/v1/token'], all['POST https://sts.googleapis.com/v1/oauthtoken'] = GOOD, GOOD
      local state = with(info, all)
      state.files['/var/run/token'] = 'subject'
      assert.equal('acted', world.fetch(google).token)
      if name == 'impersonated' then assert.equal('Bearer acted', state.requests[3].headers.authorization) end
    end
  end)

  it('finds faults in it and in its source', function()
    local function changed(change)
      local info = info_of 'impersonated'
      change(info)
      return wrong(info)
    end
    has(changed(function(info) info.source_credentials = nil end), 'source_credentials is missing or not an object')
    has(changed(function(info) info.source_credentials = { type = 'magic' } end),
      'in source_credentials: type "magic" is not')
    has(changed(function(info) info.source_credentials.universe_domain = 'other.example' end),
      'in source_credentials: universe_domain is not googleapis.com')
    has(changed(function(info) info.source_credentials.refresh_token = nil end),
      'in source_credentials: refresh_token is missing')
    has(changed(function(info) info.service_account_impersonation_url = nil end),
      'service_account_impersonation_url is missing')
    has(changed(function(info) info.service_account_impersonation_url = TARGET:gsub('googleapis', 'evil') end),
      'goes to https://iamcredentials.evil.com, which is refused')
    for _, text in ipairs { TARGET .. 's', TARGET .. '?x=y', (TARGET:gsub('/serviceAccounts/[^:]*', '')) } do
      has(changed(function(info) info.service_account_impersonation_url = text end), 'does not end in')
    end
    local short = 'https://iamcredentials.googleapis.com/v1/x'
    has(changed(function(info) info.service_account_impersonation_url = short end),
      'does not end in /serviceAccounts/ACCOUNT:generateAccessToken')
    has(changed(function(info) info.delegates = 'x' end), 'delegates is not a list of service accounts')
    has(changed(function(info) info.delegates = { 5 } end), 'delegates is not a list of service accounts')
    has(changed(function(info) info.delegates = { a = 'b' } end), 'delegates is not a list of service accounts')
    has(changed(function(info)
      for _ = 1, 9 do
        local outer = info_of 'impersonated'
        outer.source_credentials = info.source_credentials
        info.source_credentials = outer
      end
    end), 'source_credentials are nested more than 8 deep')
  end)

  it('says what to do when the source may not', function()
    with('impersonated', answers { status = 403, body = { error = { code = 403, status = 'PERMISSION_DENIED',
      message = 'No.' } } })
    local _, problem = world.fetch(google)
    has(problem.message, 'refused with status 403: PERMISSION_DENIED: No.; the source credentials need the role '
      .. 'roles/iam.serviceAccountTokenCreator on that account')
    local state = with('impersonated', { [TOKEN] = refusal(400, 'invalid_grant') })
    _, problem = world.fetch(google)
    has(problem.message, 'gcloud auth application-default login')
    assert.equal(1, #state.requests)
  end)

  it('asks again when the failure may pass', function()
    local state = with('impersonated', answers { { status = 503 }, { body = { accessToken = 'acted' } } })
    local _, expires = world.fetch(google)
    assert.equal(3, #state.requests)
    assert.equal(world.NOW + 3600000, expires)
  end)
end)

describe('external_account_authorized_user', function()
  local STS = 'POST https://sts.googleapis.com/v1/oauthtoken'

  it('changes the refresh token at the Security Token Service', function()
    local state = with('external_authorized_user', { [STS] = GOOD })
    assert.same({ token = 'ya29', quota_project = 'example-quota' }, (world.fetch(google)))
    assert.equal('grant_type=refresh_token&refresh_token=CANARY7f3a9d-refresh', state.requests[1].body)
    assert.equal('Basic Y2xpZW50OkNBTkFSWTdmM2E5ZC1zZWNyZXQ=', state.requests[1].headers.authorization)
  end)

  it('acts as a service account if told to', function()
    local info = info_of 'external_authorized_user'
    info.service_account_impersonation_url, info.token_url = TARGET, nil
    with(info, { [STS] = GOOD, ['POST ' .. TARGET] = { body = { accessToken = 'acted' } } })
    assert.equal('acted', world.fetch(google).token)
  end)

  it('finds faults, and says what to do', function()
    for _, name in ipairs { 'client_id', 'client_secret', 'refresh_token' } do
      local info = info_of 'external_authorized_user'
      info[name] = nil
      has(wrong(info), name .. ' is missing')
    end
    local info = info_of 'external_authorized_user'
    info.token_url = 'https://sts.evil.example/v1/oauthtoken'
    has(wrong(info), 'token_url goes to https://sts.evil.example, which is refused: it must be https to '
      .. 'sts.googleapis.com')
    with('external_authorized_user', { [STS] = refusal(400, 'invalid_grant',
      'CANARY7f3a9d-refresh CANARY7f3a9d-secret') })
    local _, problem = world.fetch(google)
    has(problem.message, ': invalid_grant: [redacted] [redacted]; the login has ended or was revoked: run `gcloud auth')
    assert.is_true(problem.final)
  end)
end)
