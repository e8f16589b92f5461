-- SPDX-License-Identifier: Apache-2.0
local world = require 'support.credential_world'
local file = require 'support.google_file'

local google = file.google
local with, info_of, wrong = file.with, file.info_of, file.wrong
local has, refusal = file.has, file.refusal
local TOKEN = file.TOKEN

describe('authorized_user', function()
  it('exchanges the refresh token for a token', function()
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

  it('asks for a new login when Google says so, without secrets in the message', function()
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
