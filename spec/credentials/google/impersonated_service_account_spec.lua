-- SPDX-License-Identifier: Apache-2.0
local world = require 'support.credential_world'
local file = require 'support.google_file'
local json = world.json

local google = file.google
local with, info_of, wrong = file.with, file.info_of, file.wrong
local has, refusal = file.has, file.refusal
local TOKEN, TARGET = file.TOKEN, file.TARGET
local SCOPE, GOOD = file.SCOPE, file.GOOD

describe('impersonated_service_account', function()
  local function answers(reply)
    return { [TOKEN] = GOOD, ['POST ' .. TARGET] = reply or { body = { accessToken = 'acted',
      expireTime = '2026-11-18T11:30:00Z' } } }
  end

  it('exchanges the token of the source for one of the account', function()
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

  it('leaves out delegates if there are none, and bills the project of the outer file', function()
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

  it('accepts sources of any type, also its own', function()
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

  it('says what to do when the source lacks the role', function()
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
