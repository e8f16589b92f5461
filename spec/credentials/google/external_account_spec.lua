-- SPDX-License-Identifier: Apache-2.0
-- Accounts of other identity providers: tokens of files and addresses, and what they are changed for.
local external = require 'support.external_world'
local world = require 'support.credential_world'
local google = require 'ccrelay.credentials.google'

local STS = external.STS
local SCOPE = 'https://www.googleapis.com/auth/cloud-platform'
local with, info_of, has, wrong, fails = external.with, external.info_of, external.has, external.wrong, external.fails
local last = external.last

describe('external_account', function()
  it('exchanges the token of a file, which is read each time', function()
    local state = with('external_file', { files = { ['/var/run/token'] = 'subject.one\n' } })
    local value, expires = world.fetch(google)
    assert.same({ token = 'sts' }, value)
    assert.equal(world.NOW + 3599000, expires)
    assert.equal('grant_type=urn%3Aietf%3Aparams%3Aoauth%3Agrant-type%3Atoken-exchange'
      .. '&audience=%2F%2Fiam.googleapis.com%2Fprojects%2F123456%2Flocations%2Fglobal%2FworkloadIdentityPools%2Fpool'
      .. '%2Fproviders%2Fprovider&scope=https%3A%2F%2Fwww.googleapis.com%2Fauth%2Fcloud-platform'
      .. '&requested_token_type=urn%3Aietf%3Aparams%3Aoauth%3Atoken-type%3Aaccess_token&subject_token=subject.one'
      .. '&subject_token_type=urn%3Aietf%3Aparams%3Aoauth%3Atoken-type%3Ajwt', state.requests[1].body)
    assert.same({ accept = 'application/json', ['content-type'] = 'application/x-www-form-urlencoded' },
      state.requests[1].headers)
    state.files['/var/run/token'] = 'subject.two'
    world.fetch(google)
    assert.equal('subject.two', world.form(last(state).body).subject_token)
  end)

  it('takes a member of a JSON file, and acts as a service account for the stated time', function()
    local state = with('external_file_json', { files = { ['/var/run/token.json'] = '{"access_token":"subject"}' } })
    assert.equal('acted', world.fetch(google).token)
    assert.equal('subject', world.form(state.requests[1].body).subject_token)
    assert.equal('{"lifetime":"2800s","scope":["' .. SCOPE .. '"]}', state.requests[2].body)
    assert.equal('Bearer sts', state.requests[2].headers.authorization)
  end)

  it('says what is wrong with the file', function()
    with 'external_file'
    fails 'the subject token file /var/run/token cannot be read: there is no such file'
    for text, words in pairs {
      [''] = 'is empty', [' \n'] = 'is empty', ['a\nb'] = 'contains a token with control bytes',
      [('x'):rep(65537)] = 'is larger than 65536 bytes',
    } do
      with('external_file', { files = { ['/var/run/token'] = text } })
      fails(words)
    end
    for text, words in pairs {
      ['x'] = 'contains no JSON object', ['{}'] = 'has no string called access_token',
      ['{"access_token":5}'] = 'has no string called access_token',
    } do
      with('external_file_json', { files = { ['/var/run/token.json'] = text } })
      fails(words)
    end
  end)

  it('asks an address with its headers', function()
    local url = info_of('external_url').credential_source.url
    local state = with('external_url', { answers = { ['GET ' .. url] = { body = { access_token = 'subject' } } } })
    assert.equal('sts', world.fetch(google).token)
    assert.same({
      method = 'GET', url = url, headers = { metadata = 'True', ['x-secret'] = 'CANARY7f3a9d-header' },
        timeout_ms = 10000,
      direct = true, answer_bytes = 65536,
    }, state.requests[1])
    assert.equal('subject', world.form(state.requests[2].body).subject_token)
    local info = info_of 'external_url'
    info.credential_source = { url = 'https://tokens.example/' }
    state = with(info, { answers = { ['GET https://tokens.example/'] = { { status = 503 },
      { body = ' subject\n' } } } })
    assert.equal('sts', world.fetch(google).token)
    assert.is_false(state.requests[1].direct)
    assert.equal('subject', world.form(state.requests[3].body).subject_token)
  end)

  it('says what is wrong with the address\'s answer', function()
    local url = 'GET ' .. info_of('external_url').credential_source.url
    for words, reply in pairs {
      ['refused with status 400: bad: key [redacted]'] = {
        status = 400, body = { error = 'bad', error_description = 'key CANARY7f3a9d-header' },
      },
      ['redirect (status 301), which is not followed'] = { status = 301 },
      ['contains no JSON object'] = { body = 'x' },
      ['has no string called access_token'] = { body = {} },
      ['answered with more than 65536 bytes'] = { body = ('x'):rep(65537) },
      ['cannot be reached: no connection'] = { error = 'no connection' },
    } do
      with('external_url', { answers = { [url] = reply } })
      has(fails(words).message, 'the subject token service (http://169.254.169.254/metadata/identity/oauth2/token)')
    end
  end)

  it('names the client, or the project of a workforce pool', function()
    local files = { ['/var/run/token'] = 'subject' }
    local state = with('external_workforce', { files = files })
    world.fetch(google)
    assert.equal('{"userProject":"987654"}', world.form(state.requests[1].body).options)
    local info = info_of 'external_workforce'
    info.client_id, info.client_secret = 'client', 'CANARY7f3a9d-secret'
    state = with(info, { files = files })
    world.fetch(google)
    assert.is_nil(world.form(state.requests[1].body).options)
    assert.equal('Basic ' .. world.base64 'client:CANARY7f3a9d-secret', state.requests[1].headers.authorization)
  end)

  it('says what to do when the token is refused, without the token', function()
    local reply = { status = 400, body = { error = 'invalid_grant',
      error_description = 'The token CANARY7f3a9d.x is old.' } }
    with('external_file', { files = { ['/var/run/token'] = 'CANARY7f3a9d.x' }, answers = { [STS] = reply } })
    local problem = fails('refused with status 400: invalid_grant: The token [redacted] is old.; '
      .. 'the provider in audience does not accept the subject token')
    assert.is_true(problem.final)
  end)

  it('finds faults of the file', function()
    local function changed(name, change, part)
      local info = info_of(name)
      change(info)
      wrong(info, part)
    end
    local function source(member, value)
      return function(info) info.credential_source[member] = value end
    end
    changed('external_file', function(info) info.audience = nil end, 'audience is missing')
    changed('external_file', function(info) info.subject_token_type = nil end, 'subject_token_type is missing')
    changed('external_file', function(info) info.token_url = 'https://sts.evil.example/' end,
      'token_url goes to https://sts.evil')
    changed('external_file', function(info) info.service_account_impersonation_url = 'http://10.0.0.1/' end,
      'service_account_impersonation_url goes to http://10.0.0.1, which is refused')
    changed('external_file', function(info) info.credential_source = nil end,
      'credential_source is missing or not an object')
    changed('external_file', source('file', nil), 'credential_source has none of file, url, executable, environment_id')
    changed('external_file', function(info) info.credential_source = { certificate = {} } end,
      'credential_source.certificate is not supported')
    changed('external_file', source('url', 'https://a.example/'), 'credential_source has both file and url')
    changed('external_file', source('file', 5), 'credential_source.file is not a path')
    changed('external_url', source('url', 'http://10.0.0.1/'),
      'credential_source.url goes to http://10.0.0.1, which is refused')
    changed('external_url', source('headers', { a = 'x\r\nb: c' }), 'headers.a has a value that no header may have')
    changed('external_url', source('headers', { ['a b'] = 'x' }),
      'credential_source.headers has a name that no header may have')
    changed('external_url', source('headers', 'a'), 'credential_source.headers is not an object')
    changed('external_url', source('format', 'json'), 'credential_source.format is not an object')
    changed('external_url', source('format', { type = 'xml' }), 'credential_source.format.type is not text or json')
    changed('external_url', source('format', { type = 'json' }), 'subject_token_field_name is missing')
    changed('external_file', function(info) info.workforce_pool_user_project = 'p' end,
      'workforce_pool_user_project is for an audience in a workforce pool only')
    for _, seconds in ipairs { 599, 43201, 700.5, '3600' } do
      changed('external_file_json',
        function(info) info.service_account_impersonation.token_lifetime_seconds = seconds end,
        'token_lifetime_seconds must be a whole number from 600 to 43200')
    end
  end)
end)
