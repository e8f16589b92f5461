-- SPDX-License-Identifier: Apache-2.0
local stage = require 'support.aws_stage'
local json = require 'ccrelay.util.json'
local profile = require 'ccrelay.credentials.aws.profile'

local CONFIG, START = '/home/me/.aws/config', 'https://corp.awsapps.com/start'
local FOLDER = '/home/me/.aws/sso/cache/'
local GET = 'GET https://portal.sso.eu-west-1.amazonaws.com/federation/credentials?role_name=Dev%20Role'
  .. '&account_id=123456789012'
local OIDC = 'POST https://oidc.eu-west-1.amazonaws.com/token'
local ROLE = 'sso_account_id = 123456789012\nsso_role_name = Dev Role\n'
local WITH_SESSION = '[profile a]\nsso_session = corp\n' .. ROLE
  .. '[sso-session corp]\nsso_region = eu-west-1\nsso_start_url = ' .. START .. '\n'
local LEGACY = '[profile a]\n' .. ROLE .. 'sso_region = eu-west-1\nsso_start_url = ' .. START .. '\n'

local function token(minutes, fields)
  local object = { accessToken = 'tok', expiresAt = stage.time(minutes) }
  for name, value in pairs(fields or {}) do object[name] = value end
  return json.encode(object)
end

local function refreshable(minutes, fields)
  local all = {
    refreshToken = 'ref' .. stage.CANARY, clientId = 'id', clientSecret = stage.SECRET,
    registrationExpiresAt = stage.time(9999),
  }
  for name, value in pairs(fields or {}) do all[name] = value end
  return token(minutes, all)
end

local function good(minutes)
  return { body = json.encode { roleCredentials = {
    accessKeyId = 'ASIA', secretAccessKey = stage.SECRET, sessionToken = 't',
      expiration = stage.NOW + (minutes or 60) * 60000,
  } } }
end

-- What has been refreshed is remembered by the file's path, so every test has a home of its own.
local homes = 0

local function machine(text, cached, answers, env)
  homes = homes + 1
  local home = '/home/' .. homes
  local name = text:find 'sso_session' and stage.SHA1.corp or stage.SHA1[START]
  local own = stage.new { env = env or {}, answers = answers or { [GET] = good() } }
  own.env.HOME, own.env.AWS_CONFIG_FILE = home, CONFIG
  own.files[CONFIG], own.path = text, home .. '/.aws/sso/cache/' .. name .. '.json'
  own.files[own.path] = cached
  return own
end

local function fetch(own) return profile.fetch(own.context, { name = 'p' }, 'a') end

describe('a profile with SSO', function()
  for what, text in pairs { ['a session'] = WITH_SESSION, ['the older form'] = LEGACY } do
    it('in ' .. what .. ' exchanges its token for credentials', function()
      local own = machine(text, token(60))
      local value, expires = fetch(own)
      assert.same({ access_key = 'ASIA', secret_key = stage.SECRET, session_token = 't', source = 'SSO' }, value)
      assert.equal(stage.NOW + 3600000, expires)
      assert.equal('tok', own.requests[1].headers['x-amz-sso_bearer_token'])
      assert.equal(1, #own.requests)
    end)

    it('in ' .. what .. ' without a token says what to run', function()
      local message = stage.message(fetch(machine(text)))
      assert.truthy(message:find('but there is none; run: aws sso login --profile a', 1, true), message)
    end)

    it('in ' .. what .. ' with an expired token says what to run', function()
      local own = machine(text, token(-1))
      assert.equal('the SSO session of the AWS profile "a" has expired; run: aws sso login --profile a',
        stage.message(fetch(own)))
      assert.equal(0, #own.requests)
    end)
  end

  it('looks in the default folder', function()
    local own = stage.new { files = { [CONFIG] = LEGACY, [FOLDER .. stage.SHA1[START] .. '.json'] = token(60) },
      answers = { [GET] = good() } }
    assert.equal('ASIA', fetch(own).access_key)
  end)

  it('reads times as older tools write them', function()
    local own = machine(LEGACY, token(60, { expiresAt = stage.time(60):gsub('Z$', 'UTC') }))
    assert.equal('ASIA', fetch(own).access_key)
  end)

  for what, text in pairs {
    ['no JSON'] = 'CANARY7f3a9d', ['no token'] = '{"expiresAt":"2099-01-01T00:00:00Z"}',
      ['no time'] = '{"accessToken":"x"}',
      '{"accessToken":"x","expiresIn":nan}', '{"accessToken":"x","expiresIn":1e999}',
        '{"accessToken":"x","expiresIn":0}',
    ['a wrong time'] = '{"accessToken":"x","expiresAt":"soon"}', ['null'] = '{"accessToken":null,"expiresAt":null}',
    ['a line break'] = '{"accessToken":"CANARY7f3a9d\\r\\nx","expiresAt":"2099-01-01T00:00:00Z"}',
  } do
    it('finds no usable token in a file with ' .. what, function()
      local message = stage.message(fetch(machine(LEGACY, text)))
      assert.truthy(message:find('holds no usable token; run: aws sso login --profile a', 1, true), message)
    end)
  end

  it('reports a missing home folder', function()
    local own = machine(LEGACY, token(60))
    own.env.HOME = ' '
    assert.truthy(stage.message(fetch(own)):find('HOME is not set', 1, true))
  end)

  it('reports a file that cannot be read', function()
    assert.truthy(stage.message(fetch(machine(LEGACY,
      { 'permission denied' }))):find('.json cannot be read: permission', 1, true))
  end)

  it('uses another domain in China, or the address in the environment', function()
    local own = machine(LEGACY:gsub('eu%-west%-1', 'cn-north-1'), token(60), {
      [GET:gsub('eu%-west%-1.amazonaws.com', 'cn-north-1.amazonaws.com.cn')] = good() })
    assert.equal('ASIA', fetch(own).access_key)
    own = machine(LEGACY, token(60), { [GET:gsub('https://[^/]+', 'http://127.0.0.1:5')] = good() },
      { AWS_ENDPOINT_URL_SSO = 'http://127.0.0.1:5/' })
    assert.equal('ASIA', fetch(own).access_key)
  end)

  for part, text in pairs {
    ['sso_role_name is missing'] = LEGACY:gsub('sso_role_name[^\n]*', ''),
    ['sso_account_id is missing'] = LEGACY:gsub('sso_account_id[^\n]*', ''),
    ['sso_region is missing'] = LEGACY:gsub('sso_region[^\n]*', ''),
    ['sso_start_url is missing'] = LEGACY:gsub('sso_start_url[^\n]*', ''),
    ['sso_region is not an AWS region'] = LEGACY:gsub('eu%-west%-1', 'x.evil.test/'),
    ['has no section [sso-session corp] in ' .. CONFIG .. '; there are: other'] = WITH_SESSION:gsub('%-session corp',
      '-session other'),
    ['sso_region differs between the profile and [sso-session corp]'] = WITH_SESSION:gsub('%[sso',
      'sso_region = us-east-1\n[sso'),
  } do
    it('is faulty: ' .. part, function()
      local message = stage.message(fetch(machine(text, token(60))))
      assert.truthy(message:find(part, 1, true), message)
    end)
  end

  for part, answer in pairs {
    ['has expired; run: aws sso login --profile a'] = { status = 401,
      body = '{"message":"Session token not found or invalid"}' },
    ['for role Dev Role in account 123456789012: status 403: No access'] = { status = 403,
      body = '{"message":"No access"}' },
    ['status 404: None'] = { status = 404, body = '{"Message":"None"}' },
    ['status 500'] = { status = 500, body = '<html>' },
    ['the request to SSO for credentials failed: timeout'] = 'timeout',
    ['without roleCredentials'] = { body = '[]' }, ['secretAccessKey is missing'] = {
      body = '{"roleCredentials":{"accessKeyId":"A"}}' },
    ['without expiration'] = {
      body = '{"roleCredentials":{"accessKeyId":"A","secretAccessKey":"B","expiration":nan}}' },
    ['SSO answered with credentials without expiration'] = {
      body = '{"roleCredentials":{"accessKeyId":"A","secretAccessKey":"B"}}' },
  } do
    it('fails: ' .. part, function()
      local message = stage.message(fetch(machine(LEGACY, token(60), { [GET] = answer })))
      assert.truthy(message:find(part, 1, true), message)
    end)
  end
end)

describe('the token of an SSO session', function()
  local renewed = { body = '{"accessToken":"new","expiresIn":3600,"refreshToken":"ref2","tokenType":"Bearer"}' }

  local function machine_of(cached, answer) return machine(WITH_SESSION, cached, { [GET] = good(),
    [OIDC] = answer }) end

  it('is renewed when it has expired, and kept', function()
    local own = machine_of(refreshable(-5), renewed)
    assert.equal('ASIA', fetch(own).access_key)
    assert.same({ clientId = 'id', clientSecret = stage.SECRET, grantType = 'refresh_token', refreshToken = 'ref'
      .. stage.CANARY },
      json.decode(own.requests[1].body))
    assert.equal('new', own.requests[2].headers['x-amz-sso_bearer_token'])
    fetch(own)
    assert.same({ 3, 'new' }, { #own.requests, own.requests[3].headers['x-amz-sso_bearer_token'] })
    own.now = stage.NOW + 3600000
    fetch(own)
    assert.equal('ref2', json.decode(own.requests[4].body).refreshToken)
  end)

  it('is renewed for all workers, as a refresh token may work only once', function()
    local own = machine_of(refreshable(-5), renewed)
    fetch(own)
    local modules = { 'ccrelay.credentials.aws.sso', 'ccrelay.credentials.aws.profile' }
    for _, name in ipairs(modules) do package.loaded[name] = nil end
    local another = require 'ccrelay.credentials.aws.profile'
    another.fetch(own.context, { name = 'p' }, 'a')
    assert.same({ 3, 'new' }, { #own.requests, own.requests[3].headers['x-amz-sso_bearer_token'] })
    own.now = stage.NOW + 3600000
    another.fetch(own.context, { name = 'p' }, 'a')
    assert.equal('ref2', json.decode(own.requests[4].body).refreshToken)
  end)

  it('is taken from the file again if that is newer', function()
    local own = machine_of(refreshable(-5), renewed)
    fetch(own)
    own.files[own.path] = refreshable(120)
    fetch(own)
    assert.equal('tok', own.requests[3].headers['x-amz-sso_bearer_token'])
  end)

  it('is renewed 15 minutes ahead; if that fails the old one is used', function()
    for _, answer in ipairs { renewed, 'timeout', { status = 400, body = '{"error":"invalid_grant"}' },
      { body = '{}' } } do
      local own = machine_of(refreshable(14), answer)
      assert.equal('ASIA', fetch(own).access_key)
      assert.equal(answer == renewed and 'new' or 'tok', own.requests[2].headers['x-amz-sso_bearer_token'])
    end
    local own = machine_of(refreshable(16), renewed)
    fetch(own)
    assert.equal(1, #own.requests)
  end)

  for part, answer in pairs {
    ['has expired; run: aws sso login --profile a'] = { status = 400, body = '{"error":"invalid_grant"}' },
    ['could not be renewed: timeout'] = 'timeout', ['could not be renewed: status 503'] = { status = 503 },
    ['could not be renewed: status 500'] = { status = 500 }, ['could not be renewed: status 429'] = { status = 429 },
  } do
    it('cannot be renewed: ' .. part, function()
      assert.truthy(stage.message(fetch(machine_of(refreshable(-5), answer))):find(part, 1, true))
    end)
  end

  it('is not used if no header can carry it', function()
    for _, body in ipairs {
      '{"accessToken":"CANARY7f3a9d\\r\\nx","expiresIn":60}', '{"accessToken":5,"expiresIn":60}', '{"accessToken":"x"}',
    } do
      assert.truthy(stage.message(fetch(machine_of(refreshable(-5), { body = body }))):find('has expired', 1, true))
    end
  end)

  it('is not renewed if something for it is missing', function()
    for _, cached in ipairs {
      refreshable(-5, { registrationExpiresAt = stage.time(-1) }), refreshable(-5, { clientSecret = json.null }),
      refreshable(-5, { registrationExpiresAt = 'soon' }),
    } do
      local own = machine_of(cached, renewed)
      assert.truthy(stage.message(fetch(own)):find('has expired; run', 1, true))
      assert.equal(0, #own.requests)
    end
  end)
end)
