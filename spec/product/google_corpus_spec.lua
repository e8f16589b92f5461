-- SPDX-License-Identifier: Apache-2.0
-- Google's own test files of credentials, if they are present.
local world = require 'support.credential_world'
world.reset()
local google = require 'ccrelay.credentials.google'
local real = world.real

local FOLDER = '../shared/corpora/google-auth/tests/data/'
local TOKEN = 'POST https://oauth2.googleapis.com/token'

local function text_of(name)
  local file = io.open(FOLDER .. name .. '.json', 'rb')
  if not file then return nil end
  local text = file:read '*a'
  file:close()
  return text
end

local function examined(text)
  world.reset { env = { GOOGLE_APPLICATION_CREDENTIALS = '/key.json' }, files = { ['/key.json'] = text } }
  return world.examine(google)
end

describe('ccrelay.credentials.google: files of Google\'s tests', function()
  if not text_of 'service_account' then return pending 'the corpus is not here' end

  it('accepts supported files', function()
    for _, name in ipairs {
      'service_account', 'authorized_user', 'authorized_user_cloud_sdk',
        'authorized_user_cloud_sdk_with_quota_project_id',
      'authorized_user_with_rapt_token', 'external_account_authorized_user',
      'impersonated_service_account_authorized_user_source', 'impersonated_service_account_service_account_source',
      'impersonated_service_account_external_account_authorized_user_source',
        'impersonated_service_account_with_quota_project',
    } do
      assert.same({}, examined(assert(text_of(name), name)), name)
    end
  end)

  it('refuses unsupported files', function()
    for name, part in pairs {
      service_account_non_gdu = 'universe_domain is not googleapis.com',
        es256_service_account = 'not a usable RSA private key',
      external_account_authorized_user_non_gdu = 'universe_domain is not',
        gdch_service_account = '"gdch_service_account"',
      client_secrets = 'it contains an OAuth client', external_subject_token = 'type is missing',
    } do
      local list = examined(assert(text_of(name), name))
      assert.equal(1, #list, name)
      assert.is_truthy(list[1]:find(part, 1, true), list[1])
    end
  end)

  it('gets a token for each', function()
    for _, name in ipairs { 'service_account', 'authorized_user', 'authorized_user_with_rapt_token' } do
      local state = world.reset {
        env = { GOOGLE_APPLICATION_CREDENTIALS = '/key.json' }, files = { ['/key.json'] = text_of(name) },
        answers = { [TOKEN] = { body = { access_token = 'ya29' } },
          ['POST https://accounts.google.com/o/oauth2/token'] = {
          body = { access_token = 'ya29' },
        } },
      }
      assert.equal('ya29', world.fetch(google).token, name)
      assert.equal(1, #state.requests)
    end
  end)

  it('signs with the key of the file, if the library can', function()
    if not pcall(function() return real.cc_jwt end) then return pending 'this library signs no JWT yet' end
    world.reset { env = { GOOGLE_APPLICATION_CREDENTIALS = '/key.json' },
      files = { ['/key.json'] = text_of 'service_account' },
      answers = { ['POST https://accounts.google.com/o/oauth2/token'] = { body = { access_token = 'ya29' } },
        [TOKEN] = { body = { access_token = 'ya29' } } } }
    local state = world.with_real 'cc_jwt'
    assert.same({}, world.examine(google))
    assert.equal('ya29', world.fetch(google).token)
    assert.matches('&assertion=eyJ[%w_-]+%.eyJ[%w_-]+%.[%w_-]+$', state.requests[1].body)
  end)
end)
