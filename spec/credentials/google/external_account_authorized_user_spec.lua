-- SPDX-License-Identifier: Apache-2.0
local world = require 'support.credential_world'
local file = require 'support.google_file'

local google = file.google
local with, info_of, wrong = file.with, file.info_of, file.wrong
local has, refusal = file.has, file.refusal
local TARGET = file.TARGET
local GOOD = file.GOOD

describe('external_account_authorized_user', function()
  local STS = 'POST https://sts.googleapis.com/v1/oauthtoken'

  it('exchanges the refresh token at the Security Token Service', function()
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
