-- SPDX-License-Identifier: Apache-2.0
-- Where Google's credentials come from, in which order, and what the relay does with them.
local world = require 'support.credential_world'
world.reset()
local google = require 'ccrelay.credentials.google'

local TOKEN = 'POST https://oauth2.googleapis.com/token'
local METADATA = 'GET http://metadata.google.internal/computeMetadata/v1/instance/service-accounts/default/token'
local FLAVOR = { ['Metadata-Flavor'] = 'Google' }
local NAMED = 'GOOGLE_APPLICATION_CREDENTIALS'
local USER = world.data 'authorized_user'

local function token(name) return { body = { access_token = name, expires_in = 3599, token_type = 'Bearer' } } end

local function with(text, more)
  local setting = { env = { [NAMED] = '/key.json' }, files = { ['/key.json'] = text },
    answers = { [TOKEN] = token 'ya29' } }
  for name, value in pairs(more or {}) do setting[name] = value end
  return world.reset(setting)
end

describe('ccrelay.credentials.google: order', function()
  it('takes the named file first, then gcloud\'s, then the metadata server', function()
    local env = { [NAMED] = '/key.json', CLOUDSDK_CONFIG = '/cloud', HOME = '/home/me' }
    local files = {
      ['/key.json'] = USER, ['/cloud/application_default_credentials.json'] = USER,
      ['/home/me/.config/gcloud/application_default_credentials.json'] = USER,
    }
    local state = world.reset {
      env = env, files = files,
      answers = { [TOKEN] = token 'file', [METADATA] = { headers = FLAVOR, body = token('machine').body } },
    }
    local read = {}
    local inner = state.context.read
    state.context.read = function(path)
      read[#read + 1] = path
      return inner(path)
    end
    local function first_read()
      read = {}
      local value = world.fetch(google)
      return read[1], value.token
    end
    assert.same({ '/key.json', 'file' }, { first_read() })
    env[NAMED] = ''
    assert.same({ '/cloud/application_default_credentials.json', 'file' }, { first_read() })
    env.CLOUDSDK_CONFIG = nil
    assert.same({ '/home/me/.config/gcloud/application_default_credentials.json', 'file' }, { first_read() })
    files['/home/me/.config/gcloud/application_default_credentials.json'] = nil
    assert.equal('machine', world.fetch(google).token)
    env.HOME = nil
    assert.equal('machine', world.fetch(google).token)
  end)

  it('ends with the first file\'s error', function()
    world.reset { env = { [NAMED] = '/key.json', HOME = '/h' },
      files = { ['/h/.config/gcloud/application_default_credentials.json'] = USER } }
    local value, problem = world.fetch(google)
    assert.is_nil(value)
    assert.is_true(problem.final)
    assert.equal('GOOGLE_APPLICATION_CREDENTIALS names /key.json, which cannot be read: there is no such file; '
      .. 'set GOOGLE_APPLICATION_CREDENTIALS to a credentials file in JSON, or unset it', problem.message)
  end)

  it('tells a file of gcloud that cannot be read from a missing one', function()
    world.reset { env = { HOME = '/h' },
      files = { ['/h/.config/gcloud/application_default_credentials.json'] = { error = 'Permission denied' } } }
    local _, problem = world.fetch(google)
    assert.equal('gcloud left /h/.config/gcloud/application_default_credentials.json, which cannot be read: '
      .. 'Permission denied; run `gcloud auth application-default login`', problem.message)
  end)
end)

describe('ccrelay.credentials.google: metadata server', function()
  local function machine(replies, env)
    return world.reset { env = env, answers = { [METADATA] = replies } }
  end

  it('asks it by http, without a proxy, for 3 s', function()
    local state = machine { headers = FLAVOR, body = { access_token = 'm', expires_in = 1799 } }
    local value, expires = world.fetch(google)
    assert.same({ token = 'm' }, value)
    assert.equal(world.NOW + 1799000, expires)
    assert.same({
      method = 'GET', url = METADATA:sub(5), headers = { ['metadata-flavor'] = 'Google' }, timeout_ms = 3000,
        direct = true,
      answer_bytes = 65536,
    }, state.requests[1])
  end)

  it('requires the header Metadata-Flavor in the answer', function()
    machine { body = { access_token = 'm' } }
    local _, problem = world.fetch(google)
    assert.matches('is not Google\'s: its answer has no "Metadata%-Flavor: Google"', problem.message)
    machine { headers = { ['Metadata-Flavor'] = 'Other' }, body = { access_token = 'm' } }
    assert.is_nil((world.fetch(google)))
  end)

  it('says what to do outside Google Cloud, and does not ask again', function()
    local state = machine { error = 'the host name could not be resolved' }
    local _, problem = world.fetch(google)
    assert.matches('^there are no Google credentials: run `gcloud auth application%-default login`, or set ',
      problem.message)
    assert.matches('could not be resolved', problem.message)
    assert.equal(1, #state.requests)
  end)

  it('asks again when the failure may pass', function()
    local state = machine { { status = 503, headers = FLAVOR }, { status = 500, headers = FLAVOR },
      { headers = FLAVOR, body = { access_token = 'm' } } }
    assert.equal('m', world.fetch(google).token)
    assert.equal(3, #state.requests)
  end)

  it('says when no account is attached', function()
    machine { status = 404, headers = FLAVOR, body = 'Not Found' }
    local _, problem = world.fetch(google)
    assert.matches('no service account is attached to this machine', problem.message)
  end)

  it('asks the host in GCE_METADATA_HOST', function()
    local url = 'GET http://127.0.0.1:8080/computeMetadata/v1/instance/service-accounts/default/token'
    world.reset { env = { GCE_METADATA_HOST = '127.0.0.1:8080' }, answers = { [url] = { headers = FLAVOR,
      body = { access_token = 'm' } } } }
    assert.equal('m', world.fetch(google).token)
    world.reset { env = { GCE_METADATA_HOST = '127.0.0.1:8080' },
      answers = { [url] = { error = 'the connection was refused' } } }
    local _, problem = world.fetch(google)
    assert.matches('the connection was refused; GCE_METADATA_HOST says 127%.0%.0%.1:8080$', problem.message)
    for _, host in ipairs { 'a b', 'host/path', 'http://host', 'host:99999' } do
      world.reset { env = { GCE_METADATA_HOST = host } }
      local _, complaint = world.fetch(google)
      assert.same({ message = 'GCE_METADATA_HOST is not a host or host:port', final = true }, complaint)
      assert.same({ 'fault: GCE_METADATA_HOST is not a host or host:port' }, world.examine(google))
    end
  end)
end)

describe('ccrelay.credentials.google: retries', function()
  local function refused(status, code, description)
    return { status = status, body = { error = code, error_description = description } }
  end

  it('tries three times with pauses of 1 s and 2 s, plus or minus 10 %', function()
    for _, reply in ipairs {
      refused(500), refused(503), refused(504), refused(408), refused(429), refused(400, 'internal_failure'),
      refused(400, 'server_error'), refused(401, 'temporarily_unavailable'), refused(400, 'x', 'internal_failure'),
      { error = 'the connection was reset' },
    } do
      local state = with(USER, { answers = { [TOKEN] = reply } })
      assert.is_nil((world.fetch(google)))
      assert.equal(3, #state.requests)
      assert.equal(2, #state.sleeps)
      for index, pause in ipairs(state.sleeps) do
        local usual = 1000 * 2 ^ (index - 1)
        assert.is_true(pause >= 0.9 * usual and pause <= 1.1 * usual and pause ~= usual, pause)
      end
    end
  end)

  it('takes the first good answer', function()
    local state = with(USER, { answers = { [TOKEN] = { refused(503), token 'ya29' } } })
    assert.equal('ya29', world.fetch(google).token)
    assert.equal(1, #state.sleeps)
  end)

  it('asks once when the failure will not pass', function()
    for _, reply in ipairs {
      refused(400, 'invalid_request'), refused(401), refused(403), refused(404), refused(501), refused(302),
        { body = '<html>' },
      { body = {} }, { body = { access_token = 'a\nb' } },
    } do
      local state = with(USER, { answers = { [TOKEN] = reply } })
      local _, problem = world.fetch(google)
      assert.equal(1, #state.requests)
      assert.is_nil(problem.final)
    end
  end)
end)

describe('ccrelay.credentials.google: the scheme', function()
  it('renews in the background 3 min 45 s ahead, and waits only in the last seconds', function()
    local source = (with(USER) and google).source(world.provider(), with(USER).context)
    assert.equal(225000, source.advisory_ms)
    assert.equal(10000, source.mandatory_ms)
    assert.equal('the Google credentials', source.label)
  end)

  it('is another source with another file, other contents, another CA file', function()
    local names = {}
    local function name(text, settings, env)
      local state = with(text, env and { env = env })
      local found = google.source(world.provider(settings), state.context).name
      assert.is_true(#found <= 63)
      assert.is_nil(found:find(world.CANARY, 1, true))
      names[found] = true
    end
    name(USER)
    name(USER)
    name(world.data 'service_account')
    name(USER, { ca_file = '/ca.pem' })
    name(USER, nil, { HOME = '/h' })
    name(USER, nil, { HOME = '/h', GCE_METADATA_HOST = '127.0.0.1:1' })
    local count = 0
    for _ in pairs(names) do count = count + 1 end
    assert.equal(5, count)
  end)

  it('sends the token, and the project that is billed', function()
    with(USER)
    assert.same({ authorization = 'Bearer ya29', ['x-goog-user-project'] = 'example-quota' }, world.apply(google))
    with(USER, { env = { [NAMED] = '/key.json', GOOGLE_CLOUD_QUOTA_PROJECT = 'other' } })
    assert.equal('other', world.apply(google)['x-goog-user-project'])
    with(world.data 'service_account')
    -- "" keeps back what the client says of it.
    assert.same({ authorization = 'Bearer ya29', ['x-goog-user-project'] = '' }, world.apply(google))
  end)

  it('gives the reason when there is none', function()
    with '{'
    local headers, message = world.apply(google)
    assert.is_nil(headers)
    assert.matches('names /key%.json, which is not a JSON object', message)
  end)

  it('passes the CA file of the provider on', function()
    local state = with(USER)
    world.fetch(google, { ca_file = '/ca.pem' })
    assert.equal('/ca.pem', state.requests[1].ca_file)
  end)

  it('fetches again after a 401, and only then', function()
    local state = with(USER)
    local upstream = { key = { provider = { source = { name = 's' } } } }
    for _, status in ipairs { 400, 403, 429, 500, 0 } do assert.is_false(google.recover({ status = status },
      upstream)) end
    assert.is_nil(state.voided)
    assert.is_true(google.recover({ status = 401, attempt = { credential = 7 } }, upstream))
    assert.equal(upstream.key.provider.source, state.voided)
  end)
end)

describe('ccrelay.credentials.google: examine', function()
  local function lines(text)
    with(text)
    return world.examine(google)
  end

  it('finds nothing wrong with good files', function()
    for _, name in ipairs {
      'service_account', 'authorized_user', 'impersonated', 'external_file', 'external_file_json', 'external_url',
        'external_aws',
      'external_workforce', 'external_authorized_user',
    } do
      local text = world.data(name)
      assert.same({}, lines(text), name)
    end
  end)

  it('warns when there is nothing', function()
    world.reset { env = { HOME = '/h' } }
    local list = world.examine(google)
    assert.equal(1, #list)
    assert.matches('^warning: there are no Google credentials: run `gcloud auth application%-default login`, or set '
      .. 'GOOGLE_APPLICATION_CREDENTIALS .*or run where Google Cloud', list[1])
    world.reset { env = { GCE_METADATA_HOST = '127.0.0.1:80' } }
    assert.same({}, world.examine(google))
  end)

  it('finds faults of the file, with the variable and what to do', function()
    local user = '"client_id":"a","client_secret":"b","refresh_token":"c"'
    local supported = 'supported are service_account, authorized_user, impersonated_service_account, external_account, '
      .. 'external_account_authorized_user'
    for text, words in pairs {
      ['{'] = 'which is not a JSON object',
      ['[]'] = 'type is missing; ' .. supported,
      ['{"type":"authorized_user"}'] = 'client_id is missing, empty or not a string',
      ['{"type":5}'] = 'type is missing; ' .. supported,
      ['{"installed":{}}'] = 'it contains an OAuth client, not credentials; ' .. supported,
      ['{"type":"magic"}'] = 'type "magic" is not supported; ' .. supported,
      [(world.data 'gdch')] = 'type "gdch_service_account" is not supported; ' .. supported,
      ['{"type":"authorized_user","universe_domain":"universe.foo",' .. user .. '}'] =
        'universe_domain is not googleapis.com, the only one that is supported',
      ['{"type":"authorized_user","quota_project_id":"a\\nb",' .. user
        .. '}'] = 'quota_project_id is not the name of a project',
      ['{"type":"authorized_user","token_uri":"https://evil.example/token",' .. user .. '}'] =
        'token_uri goes to https://evil.example, which is refused: it must be https to oauth2.googleapis.com',
    } do
      local list = lines(text)
      assert.equal(1, #list, text)
      assert.is_truthy(list[1]:find('fault: GOOGLE_APPLICATION_CREDENTIALS names /key.json, ', 1, true), list[1])
      assert.is_truthy(list[1]:find(words, 1, true), list[1])
      assert.is_truthy(list[1]:find('; set GOOGLE_APPLICATION_CREDENTIALS to a credentials file', 1, true), list[1])
      local _, problem = world.fetch(google)
      assert.is_true(problem.final)
    end
  end)

  it('finds a malformed region', function()
    with(USER)
    for _, region in ipairs { 'global', 'us', 'eu', 'us-east5', 'europe-west1', 'northamerica-northeast1' } do
      assert.same({}, world.examine(google, { gcp_region = region }))
    end
    for _, region in ipairs { '', 'US-EAST5', 'us-east', 'useast5', 'us-east5-b', 'us east5', 'asia', 'us-east5/..' } do
      assert.same({ 'fault: gcp_region "' .. region
        .. '" is not a region: global, us, eu, or one like us-east5 or europe-west1' },
        world.examine(google, { gcp_region = region }))
    end
  end)
end)
