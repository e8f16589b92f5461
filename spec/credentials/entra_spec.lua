-- SPDX-License-Identifier: Apache-2.0
-- Azure Entra ID: which way the environment asks for, what is asked, and what to do about refusals.
local world = require 'support.credential_world'
world.reset()
local entra = require 'ccrelay.credentials.entra'

local TOKEN = 'POST https://login.microsoftonline.com/tenant-1/oauth2/v2.0/token'
local IMDS = 'GET http://169.254.169.254/metadata/identity/oauth2/token?api-version=2018-02-01'
  .. '&resource=https%3A%2F%2Fai.azure.com'
local GOOD = { body = { token_type = 'Bearer', expires_in = 3599, ext_expires_in = 3599, access_token = 'eyJ0' } }
local FILE = '/var/run/secrets/token'

local function application(more, setting)
  local env = { AZURE_TENANT_ID = 'tenant-1', AZURE_CLIENT_ID = 'client-1' }
  for name, value in pairs(more) do env[name] = value or nil end
  setting = setting or {}
  setting.env, setting.answers = env, setting.answers or { [TOKEN] = GOOD }
  return world.reset(setting)
end

local function with_secret(more, setting)
  more = more or {}
  more.AZURE_CLIENT_SECRET = more.AZURE_CLIENT_SECRET or 'CANARY7f3a9d~secret'
  return application(more, setting)
end

local function with_file(setting)
  setting = setting or {}
  setting.files = setting.files or { [FILE] = 'CANARY7f3a9d.one\n' }
  return application({ AZURE_FEDERATED_TOKEN_FILE = FILE }, setting)
end

local function has(text, part)
  assert.is_truthy(text:find(part, 1, true), text)
end

local function fails(part)
  local value, problem = world.fetch(entra)
  assert.is_nil(value)
  has(problem.message, part)
  return problem
end

local function aadsts(code, words, status)
  return { status = status or 401, body = {
    error = 'invalid_client', error_description = 'AADSTS' .. code .. ': ' .. words .. '\r\nTrace ID: 1',
      error_codes = { 1 },
  } }
end

describe('ccrelay.credentials.entra: client secret', function()
  it('asks the tenant for a token of Foundry', function()
    local state = with_secret()
    local value, expires = world.fetch(entra, { ca_file = '/ca.pem' })
    assert.same({ token = 'eyJ0' }, value)
    assert.equal(world.NOW + 3599000, expires)
    assert.same({
      method = 'POST', url = TOKEN:sub(6), timeout_ms = 10000, answer_bytes = 65536, ca_file = '/ca.pem',
      headers = { accept = 'application/json', ['content-type'] = 'application/x-www-form-urlencoded' },
      body = 'client_id=client-1&grant_type=client_credentials&scope=https%3A%2F%2Fai.azure.com%2F.default'
        .. '&client_secret=CANARY7f3a9d~secret',
    }, state.requests[1])
  end)

  it('asks the authority that is named', function()
    for _, authority in ipairs { 'https://login.microsoftonline.us', 'https://login.microsoftonline.us/',
      'login.microsoftonline.us' } do
      with_secret({ AZURE_AUTHORITY_HOST = authority }, {
        answers = { ['POST https://login.microsoftonline.us/tenant-1/oauth2/v2.0/token'] = GOOD },
      })
      assert.equal('eyJ0', world.fetch(entra).token)
    end
    with_secret({ AZURE_AUTHORITY_HOST = 'http://127.0.0.1:5/' },
      { answers = { ['POST http://127.0.0.1:5/tenant-1/oauth2/v2.0/token'] = GOOD } })
    assert.equal('eyJ0', world.fetch(entra).token)
    with_secret { AZURE_AUTHORITY_HOST = 'http://login.microsoftonline.com' }
    assert.is_true(fails('AZURE_AUTHORITY_HOST must be https').final)
    with_secret { AZURE_AUTHORITY_HOST = 'https://a b' }
    fails 'AZURE_AUTHORITY_HOST is not an http or https address'
  end)

  it('takes precedence over a federated token and managed identity', function()
    local state = with_secret({ AZURE_FEDERATED_TOKEN_FILE = FILE, IDENTITY_ENDPOINT = 'http://127.0.0.1:1/',
      IDENTITY_HEADER = 'h' })
    world.fetch(entra)
    assert.equal('CANARY7f3a9d~secret', world.form(state.requests[1].body).client_secret)
  end)

  it('says what to do about a wrong secret, tenant or application', function()
    for code, advice in pairs {
      ['7000215'] = 'set AZURE_CLIENT_SECRET to the value of a client secret, not to its id',
      ['7000222'] = 'make a new client secret for the application and set AZURE_CLIENT_SECRET to its value',
      ['700016'] = 'check AZURE_CLIENT_ID and AZURE_TENANT_ID: that tenant does not know the application',
      ['90002'] = 'check AZURE_TENANT_ID: there is no such tenant',
      ['900023'] = 'check AZURE_TENANT_ID: it is not the id or domain of a tenant',
      ['53003'] = 'a conditional access policy of the tenant blocks the application',
    } do
      local state = with_secret(nil, { answers = { [TOKEN] = aadsts(code, 'No CANARY7f3a9d~secret here.') } })
      local problem = fails('Entra ID (https://login.microsoftonline.com/tenant-1/oauth2/v2.0/token) refused with '
        .. 'status 401: '
        .. 'invalid_client: AADSTS' .. code .. ': No [redacted] here. Trace ID: 1; ' .. advice)
      assert.is_true(problem.final)
      assert.equal(1, #state.requests)
    end
    with_secret(nil, { answers = { [TOKEN] = aadsts('123', 'Other.', 400) } })
    assert.matches('Trace ID: 1$', fails('AADSTS123: Other.').message)
  end)

  it('asks three times if the failure may pass, else once', function()
    for _, reply in ipairs { { status = 500 }, { status = 502 }, { status = 503 }, { status = 504 }, { status = 429 },
      { status = 408 }, { error = 'the connection was reset' } } do
      local state = with_secret(nil, { answers = { [TOKEN] = reply } })
      assert.is_nil(fails('Entra ID').final)
      assert.equal(3, #state.requests)
      assert.is_true(state.sleeps[1] >= 900 and state.sleeps[1] <= 1100)
      assert.is_true(state.sleeps[2] >= 1800 and state.sleeps[2] <= 2200)
    end
    for _, reply in ipairs { { status = 400 }, { status = 401 }, { status = 404 }, { status = 302 },
      { body = '<html>' }, { body = {} } } do
      local state = with_secret(nil, { answers = { [TOKEN] = reply } })
      fails 'Entra ID'
      assert.equal(1, #state.requests)
    end
    local state = with_secret(nil, { answers = { [TOKEN] = { { status = 503 }, GOOD } } })
    assert.equal('eyJ0', world.fetch(entra).token)
    assert.equal(2, #state.requests)
  end)
end)

describe('ccrelay.credentials.entra: workload identity', function()
  it('sends the token of the file, read each time', function()
    local state = with_file()
    assert.equal('eyJ0', world.fetch(entra).token)
    assert.equal('client_id=client-1&grant_type=client_credentials&scope=https%3A%2F%2Fai.azure.com%2F.default'
      .. '&client_assertion_type=urn%3Aietf%3Aparams%3Aoauth%3Aclient-assertion-type%3Ajwt-bearer'
      .. '&client_assertion=CANARY7f3a9d.one', state.requests[1].body)
    state.files[FILE] = 'two'
    world.fetch(entra)
    assert.equal('two', world.form(state.requests[2].body).client_assertion)
  end)

  it('says what is wrong with the file', function()
    for words, files in pairs {
      ['cannot be read: there is no such file'] = {}, ['contains no token'] = { [FILE] = ' \n' },
      ['cannot be read: Permission denied'] = { [FILE] = { error = 'Permission denied' } },
    } do
      with_file { files = files }
      fails('the file that AZURE_FEDERATED_TOKEN_FILE names (' .. FILE .. ') ' .. words)
      assert.same({ 'fault: the file that AZURE_FEDERATED_TOKEN_FILE names (' .. FILE .. ') ' .. words },
        world.examine(entra))
    end
    with_file { files = { [FILE] = 'a\nb' } }
    fails 'contains no token'
  end)

  it('says what to do about a refusal, without the token', function()
    with_file { answers = { [TOKEN] = aadsts('70021', 'No record for CANARY7f3a9d.one.') } }
    fails('AADSTS70021: No record for [redacted]. Trace ID: 1; give the application a federated credential with the '
      .. 'issuer')
    with_file { answers = { [TOKEN] = aadsts('700024', 'Old.') } }
    fails 'the token in AZURE_FEDERATED_TOKEN_FILE has expired'
  end)
end)

describe('ccrelay.credentials.entra: managed identity', function()
  local APP = 'GET http://127.0.0.1:41/msi/token?api-version=2019-08-01&resource=https%3A%2F%2Fai.azure.com'

  local function in_app(reply, client, url)
    return world.reset {
      env = { IDENTITY_ENDPOINT = 'http://127.0.0.1:41/msi/token', IDENTITY_HEADER = 'CANARY7f3a9d-header',
        AZURE_CLIENT_ID = client },
      answers = { [url or APP] = reply },
    }
  end

  it('asks App Service if it runs there', function()
    local state = in_app { body = { access_token = 'msi', expires_on = tostring(world.NOW / 1000 + 7200),
      resource = 'r' } }
    local value, expires = world.fetch(entra)
    assert.same({ token = 'msi' }, value)
    assert.equal(world.NOW + 7200000, expires)
    assert.same({
      method = 'GET', url = APP:sub(5), headers = { ['x-identity-header'] = 'CANARY7f3a9d-header' }, timeout_ms = 10000,
      direct = true, answer_bytes = 65536,
    }, state.requests[1])
    in_app(GOOD, 'user-1', APP .. '&client_id=user-1')
    assert.equal('eyJ0', world.fetch(entra).token)
    state = in_app({ status = 404 })
    fails 'managed identity (http://127.0.0.1:41/msi/token) refused with status 404'
    assert.equal(1, #state.requests)
    in_app { status = 400, body = { message = 'CANARY7f3a9d-header is wrong' } }
    fails 'refused with status 400: [redacted] is wrong; assign a managed identity to this machine'
  end)

  it('else asks the metadata service of the machine', function()
    local state = world.reset { answers = { [IMDS] = { body = { access_token = 'vm', expires_in = '86399',
      expires_on = '1' } } } }
    local value, expires = world.fetch(entra)
    assert.equal('vm', value.token)
    assert.equal(world.NOW + 86399000, expires)
    assert.same({
      method = 'GET', url = IMDS:sub(5), headers = { metadata = 'true' }, timeout_ms = 3000, direct = true,
        answer_bytes = 65536,
    }, state.requests[1])
    world.reset { env = { AZURE_CLIENT_ID = 'user-1' }, answers = { [IMDS .. '&client_id=user-1'] = GOOD } }
    assert.equal('eyJ0', world.fetch(entra).token)
    for _, host in ipairs { 'http://127.0.0.1:7', 'http://127.0.0.1:7/' } do
      world.reset {
        env = { AZURE_POD_IDENTITY_AUTHORITY_HOST = host, AZURE_TENANT_ID = 't' },
        answers = { [IMDS:gsub('169.254.169.254', '127.0.0.1:7')] = GOOD },
      }
      assert.equal('eyJ0', world.fetch(entra).token)
      assert.same({}, world.examine(entra))
    end
  end)

  it('asks it three times while it is renewed, throttled or down', function()
    for _, status in ipairs { 404, 410, 408, 429, 500, 503 } do
      local state = world.reset { answers = { [IMDS] = { status = status } } }
      assert.is_nil(fails('managed identity (http://169.254.169.254/metadata/identity/oauth2/token) refused').final)
      assert.equal(3, #state.requests)
    end
    for _, status in ipairs { 400, 401, 403, 405 } do
      local state = world.reset { answers = { [IMDS] = { status = status } } }
      assert.is_true(fails('managed identity').final)
      assert.equal(1, #state.requests)
    end
  end)

  it('says what to do when there is no identity, or no Azure', function()
    local missing = { status = 400, body = { error = 'invalid_request', error_description = 'Identity not found' } }
    world.reset { answers = { [IMDS] = missing } }
    fails 'invalid_request: Identity not found; assign a managed identity to this machine'
    world.reset { env = { AZURE_CLIENT_ID = 'user-1' }, answers = { [IMDS .. '&client_id=user-1'] = missing } }
    fails 'check that AZURE_CLIENT_ID is the client id of an identity assigned to this machine'
    local state = world.reset { answers = { [IMDS] = { error = 'no connection' } } }
    fails('cannot be reached: no connection; neither AZURE_CLIENT_SECRET nor AZURE_FEDERATED_TOKEN_FILE is set, and '
      .. 'outside Azure '
      .. 'set AZURE_TENANT_ID, AZURE_CLIENT_ID and AZURE_CLIENT_SECRET')
    assert.equal(1, #state.requests)
  end)
end)

describe('ccrelay.credentials.entra: examine', function()
  local function lines(env, files)
    world.reset { env = env, files = files }
    return world.examine(entra)
  end

  it('warns when managed identity will be asked', function()
    for _, env in ipairs { {}, { AZURE_CLIENT_ID = 'user-1' }, { AZURE_CLIENT_SECRET = '', AZURE_TENANT_ID = '' } } do
      assert.same({ 'warning: neither AZURE_CLIENT_SECRET nor AZURE_FEDERATED_TOKEN_FILE is set: the managed '
        .. 'identity of this '
        .. 'machine will be asked at the first request; outside Azure set AZURE_TENANT_ID, AZURE_CLIENT_ID and '
        .. 'AZURE_CLIENT_SECRET' }, lines(env))
    end
  end)

  it('finds nothing wrong with complete settings', function()
    assert.same({}, lines { AZURE_TENANT_ID = 't', AZURE_CLIENT_ID = 'c', AZURE_CLIENT_SECRET = 's' })
    assert.same({}, lines({ AZURE_TENANT_ID = 't', AZURE_CLIENT_ID = 'c', AZURE_FEDERATED_TOKEN_FILE = FILE },
      { [FILE] = 'x' }))
    assert.same({}, lines { IDENTITY_ENDPOINT = 'http://localhost:1/x', IDENTITY_HEADER = 'h', AZURE_TENANT_ID = 't' })
  end)

  it('names the variable that is missing', function()
    local function fault(env, words)
      assert.same({ 'fault: ' .. words }, lines(env))
      local _, problem = world.fetch(entra)
      assert.same({ message = words, final = true }, problem)
    end
    for _, set in ipairs { 'AZURE_CLIENT_SECRET', 'AZURE_FEDERATED_TOKEN_FILE' } do
      fault({ [set] = 'CANARY7f3a9d', AZURE_CLIENT_ID = 'c' },
        set .. ' is set, but AZURE_TENANT_ID is not: set it too, or unset ' .. set)
      fault({ [set] = 'CANARY7f3a9d', AZURE_TENANT_ID = 't' },
        set .. ' is set, but AZURE_CLIENT_ID is not: set it too, or unset ' .. set)
      fault({ [set] = 'CANARY7f3a9d', AZURE_TENANT_ID = 't/..', AZURE_CLIENT_ID = 'c' },
        'AZURE_TENANT_ID is not an id or name')
    end
    fault({ AZURE_TENANT_ID = 't', AZURE_CLIENT_ID = 'c' },
      'AZURE_TENANT_ID is set, but AZURE_CLIENT_SECRET is not: set it or '
      .. 'AZURE_FEDERATED_TOKEN_FILE, or unset AZURE_TENANT_ID to use managed identity')
    fault({ IDENTITY_ENDPOINT = 'http://127.0.0.1:1/' },
      'IDENTITY_ENDPOINT is set, but IDENTITY_HEADER is not: set it too, or unset IDENTITY_ENDPOINT')
    fault({ IDENTITY_ENDPOINT = 'http://127.0.0.1:1/', IMDS_ENDPOINT = 'http://127.0.0.1:2' },
      'IDENTITY_ENDPOINT is set, but IDENTITY_HEADER is not: set it too, or unset IDENTITY_ENDPOINT (managed '
        .. 'identity of Azure '
        .. 'Arc is not supported)')
    fault({ IDENTITY_HEADER = 'CANARY7f3a9d' },
      'IDENTITY_HEADER is set, but IDENTITY_ENDPOINT is not: set it too, or unset IDENTITY_HEADER')
    fault({ IDENTITY_HEADER = 'h', IDENTITY_ENDPOINT = 'ftp://x' }, 'IDENTITY_ENDPOINT is not an http or https address')
    fault({ IDENTITY_HEADER = 'CANARY7f3a9d\r\n', IDENTITY_ENDPOINT = 'http://127.0.0.1:1/' },
      'IDENTITY_HEADER contains bytes that no header may have')
    fault({ AZURE_POD_IDENTITY_AUTHORITY_HOST = 'a b' },
      'AZURE_POD_IDENTITY_AUTHORITY_HOST is not an http or https address')
  end)
end)

describe('ccrelay.credentials.entra: the scheme', function()
  it('renews 5 minutes ahead, and is another source with other settings', function()
    local names = {}
    local function name(state, settings)
      local source = entra.source(world.provider(settings), state.context)
      assert.equal(300000, source.advisory_ms)
      assert.equal(10000, source.mandatory_ms)
      assert.is_nil(source.name:find(world.CANARY, 1, true))
      names[source.name] = true
    end
    name(with_secret())
    name(with_secret())
    name(with_secret { AZURE_CLIENT_SECRET = 'other' })
    name(with_secret { AZURE_TENANT_ID = 'tenant-2' })
    name(with_secret { AZURE_CLIENT_ID = 'client-2' })
    name(with_secret { AZURE_AUTHORITY_HOST = 'https://login.microsoftonline.us' })
    name(with_secret(), { ca_file = '/ca.pem' })
    name(with_file())
    name(world.reset())
    name(world.reset { env = { AZURE_CLIENT_ID = 'client-1' } })
    local count = 0
    for _ in pairs(names) do count = count + 1 end
    assert.equal(9, count)
  end)

  it('sends the token, gives the reason if there is none, fetches again after a 401', function()
    with_secret()
    assert.same({ authorization = 'Bearer eyJ0' }, world.apply(entra))
    with_secret { AZURE_TENANT_ID = false }
    local headers, message = world.apply(entra)
    assert.is_nil(headers)
    has(message, 'AZURE_TENANT_ID is not')
    local state = with_secret()
    local upstream = { key = { provider = { source = { name = 's' } } } }
    for _, status in ipairs { 400, 403, 429, 500 } do assert.is_false(entra.recover({ status = status }, upstream)) end
    assert.is_nil(state.voided)
    assert.is_true(entra.recover({ status = 401, attempt = { credential = 7 } }, upstream))
    assert.equal(upstream.key.provider.source, state.voided)
  end)
end)
