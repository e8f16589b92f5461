-- SPDX-License-Identifier: Apache-2.0
local stage = require 'support.aws_stage'
local profile = require 'ccrelay.credentials.aws.profile'

local CONFIG, CREDENTIALS = '/home/me/.aws/config', '/home/me/.aws/credentials'
local KEYS = 'aws_access_key_id = AKIA\naws_secret_access_key = ' .. stage.SECRET .. '\n'
local STS = 'POST https://sts.us-east-1.amazonaws.com/'

local function assumed() return { answers = { [STS] = stage.sts('AssumeRole', 60) } } end

local function machine(config, credentials, more)
  more = more or {}
  more.files = { [CONFIG] = config, [CREDENTIALS] = credentials }
  return stage.new(more)
end

local function fetch(machine_, name)
  return profile.fetch(machine_.context, { region = 'us-east-1', name = 'p' }, name)
end

local function refused(config, part, name)
  local message = stage.message(fetch(machine(config), name or 'a'))
  assert.truthy(message:find(part, 1, true), message)
end

describe('a profile with a key pair', function()
  it('gives the key pair', function()
    local value, expires = fetch(machine('[profile a]\n' .. KEYS .. 'aws_session_token = t'), 'a')
    assert.same({ access_key = 'AKIA', secret_key = stage.SECRET, session_token = 't', source = 'the AWS profile "a"' },
      value)
    assert.is_nil(expires)
  end)

  it('is default, or the one that AWS_PROFILE names', function()
    local text = '[default]\n' .. KEYS .. '[b]\naws_access_key_id = B\naws_secret_access_key = x'
    assert.equal('AKIA', fetch(machine(nil, text)).access_key)
    assert.equal('B', fetch(machine(nil, text, { env = { AWS_PROFILE = 'b' } })).access_key)
    assert.equal('AKIA', fetch(machine(nil, text, { env = { AWS_PROFILE = ' ' } })).access_key)
  end)

  it('is read each time', function()
    local own = machine('', '[a]\n' .. KEYS)
    fetch(own, 'a')
    own.files[CREDENTIALS] = '[a]\naws_access_key_id = NEW\naws_secret_access_key = x'
    assert.equal('NEW', fetch(own, 'a').access_key)
  end)

  it('is faulty with half a key pair', function()
    refused('[profile a]\naws_access_key_id = AKIA', '"a" in ' .. CONFIG .. ': aws_secret_access_key is missing')
    refused('[profile a]\naws_secret_access_key = ' .. stage.SECRET, 'aws_access_key_id is missing')
  end)

  it('is faulty with a secret over two lines', function()
    refused('[profile a]\naws_access_key_id = A\naws_secret_access_key = b\n  ' .. stage.SECRET,
      'aws_secret_access_key contains a blank, a line break')
  end)
end)

describe('a missing profile', function()
  it('is a fault if it is named, with the profiles that exist', function()
    refused('[profile x]\n[default]', 'the AWS profile "a" is neither in ' .. CONFIG .. ' nor in ' .. CREDENTIALS
      .. '; there are: default, x')
    local message = stage.message(fetch(machine('', '', { env = { AWS_PROFILE = 'a' } })))
    assert.truthy(message:find('there are: none', 1, true))
  end)

  it('is no fault if it is default', function() assert.same({ nil, nil }, { fetch(machine('[profile x]')) }) end)

  it('is a fault if it has no credentials and the configuration names it', function()
    refused('[profile a]\nregion = us-east-1', 'it contains no credentials: it needs a key pair, role_arn')
    assert.same({ nil, nil }, { fetch(machine('[profile a]\nregion = x', '', { env = { AWS_PROFILE = 'a' } })) })
  end)

  it('is a fault with login_session', function() refused('[profile a]\nlogin_session = x', 'login_session') end)
end)

describe('a profile with a role', function()
  local ROLE = '[profile a]\nrole_arn = arn:aws:iam::1:role/r\n'

  it('asks STS with the credentials of its source', function()
    local own = machine(ROLE .. 'source_profile = b\nexternal_id = e/x\nrole_session_name = me@x\n'
      .. 'duration_seconds = 1800\nregion = eu-west-1\n', '[b]\n' .. KEYS .. 'aws_session_token = t', {
      answers = { ['POST https://sts.eu-west-1.amazonaws.com/'] = stage.sts('AssumeRole', 60) },
    })
    local value, expires = fetch(own, 'a')
    assert.same({
      access_key = 'ASIAROLE', secret_key = stage.SECRET, session_token = 'token/' .. stage.CANARY,
      source = 'arn:aws:iam::1:role/r',
    }, value)
    assert.equal(stage.NOW + 3600000, expires)
    local request = own.requests[1]
    assert.equal('Action=AssumeRole&Version=2011-06-15&RoleArn=arn%3Aaws%3Aiam%3A%3A1%3Arole%2Fr&RoleSessionName=me%40x'
      .. '&ExternalId=e%2Fx&DurationSeconds=1800', request.body)
    assert.same({
      access_key = 'AKIA', secret_key = stage.SECRET, session_token = 't', region = 'eu-west-1', service = 'sts',
        skew_ms = 0,
    }, request.signer)
    assert.equal('application/x-www-form-urlencoded; charset=utf-8', request.headers['content-type'])
  end)

  it('has a name for its session', function()
    local own = machine(ROLE .. 'source_profile = b', '[b]\n' .. KEYS, assumed())
    fetch(own, 'a')
    assert.truthy(own.requests[1].body:find('RoleSessionName=ccrelay-1795600000', 1, true))
    assert.is_nil(own.requests[1].body:find('ExternalId', 1, true))
  end)

  it('can be its own source', function()
    local own = machine(ROLE .. 'source_profile = a\n' .. KEYS, '', assumed())
    assert.equal('ASIAROLE', fetch(own, 'a').access_key)
    assert.equal('AKIA', own.requests[1].signer.access_key)
  end)

  it('prefers the role to its key pair, but gives the key pair to others', function()
    local own = machine(ROLE .. 'source_profile = b\n' .. KEYS
      .. '[profile b]\nrole_arn = arn:b\nsource_profile = c\naws_access_key_id = B\naws_secret_access_key = x\n', '',
      { answers = { [STS] = stage.sts('AssumeRole', 60) } })
    assert.equal('ASIAROLE', fetch(own, 'a').access_key)
    assert.same({ 1, 'B' }, { #own.requests, own.requests[1].signer.access_key })
  end)

  it('can have another role as its source', function()
    local own = machine(ROLE .. 'source_profile = b\n[profile b]\nrole_arn = arn:b\nsource_profile = c\n[profile c]\n'
      .. KEYS, '', { answers = { [STS] = { stage.sts('AssumeRole', 60, 'ASIAB'), stage.sts('AssumeRole', 30) } } })
    local value, expires = fetch(own, 'a')
    assert.equal('ASIAROLE', value.access_key)
    assert.equal(stage.NOW + 30 * 60000, expires)
    assert.same({ 'AKIA', 'ASIAB' }, { own.requests[1].signer.access_key, own.requests[2].signer.access_key })
    assert.equal('token/' .. stage.CANARY, own.requests[2].signer.session_token)
  end)

  it('can have the environment, the container or the instance as its source', function()
    local env = { AWS_ACCESS_KEY_ID = 'ENV', AWS_SECRET_ACCESS_KEY = 'x' }
    local own = machine(ROLE .. 'credential_source = Environment', '',
      { env = env, answers = { [STS] = stage.sts('AssumeRole', 60) } })
    fetch(own, 'a')
    assert.equal('ENV', own.requests[1].signer.access_key)
    env.AWS_SECRET_ACCESS_KEY = nil
    local message = stage.message(fetch(own, 'a'))
    assert.truthy(message:find('credential_source Environment of the AWS profile "a": AWS_SECRET', 1, true))
    for source, part in pairs { EcsContainer = 'it has no credentials',
      Ec2InstanceMetadata = 'did not answer' } do
      refused(ROLE .. 'credential_source = ' .. source, 'credential_source ' .. source .. ' of the AWS profile "a": ')
      refused(ROLE .. 'credential_source = ' .. source, part)
    end
  end)

  for text, part in pairs {
    ['source_profile = x'] = 'source_profile "x" does not exist; there are: a',
    ['source_profile = a'] = 'source_profile forms a circle: a -> a',
    ['source_profile = b\n[profile b]\nrole_arn = y\nsource_profile = a'] = 'forms a circle: a -> b -> a',
    ['source_profile = b\n[profile b]\nregion = x'] = 'its source_profile "b" contains no credentials',
    ['source_profile = b\ncredential_source = Environment'] = 'cannot both be set',
    ['region = x'] = 'role_arn needs source_profile or credential_source',
    ['credential_source = environment'] = 'is "environment"; it can be Ec2InstanceMetadata, EcsContainer, Environment',
    ['duration_seconds = 899'] = 'duration_seconds must be a whole number from 900 to 43200',
    ['duration_seconds = 43201'] = 'duration_seconds', ['duration_seconds = 1h'] = 'duration_seconds',
    ['role_session_name = a b'] = 'role_session_name takes', ['role_session_name = a'] = 'role_session_name takes',
    ['mfa_serial = arn:x'] = 'mfa_serial asks for a code',
  } do
    it('is faulty: ' .. part, function() refused(ROLE .. text, part) end)
  end

  it('passes on the message of STS unchanged', function()
    local words = 'User: arn:aws:iam::1:user/u is not authorized to perform: sts:AssumeRole'
    local own = machine(ROLE .. 'source_profile = b', '[b]\n' .. KEYS,
      { answers = { [STS] = stage.sts_error(403, 'AccessDenied', words) } })
    local value, more = fetch(own, 'a')
    assert.is_nil(value)
    assert.same({ message = 'STS refused AssumeRole for arn:aws:iam::1:role/r: AccessDenied: ' .. words,
      final = true }, more)
    assert.equal(1, #own.requests)
  end)
end)

describe('a profile with web_identity_token_file', function()
  it('asks STS with the token, before its other sources', function()
    local own = machine('[profile a]\nrole_arn = arn:r\nweb_identity_token_file = /t\nsource_profile = x\n'
      .. 'role_session_name = me\n', '',
      { answers = { [STS] = stage.sts('AssumeRoleWithWebIdentity', 60) },
        env = { AWS_WEB_IDENTITY_TOKEN_FILE = '/no' } })
    own.files['/t'] = 'jwt\n'
    assert.equal('ASIAROLE', fetch(own, 'a').access_key)
    assert.is_nil(own.requests[1].signer)
    assert.truthy(own.requests[1].body:find('&RoleSessionName=me&WebIdentityToken=jwt$'))
  end)

  it('is faulty without role_arn or token', function()
    refused('[profile a]\nweb_identity_token_file = /t', 'web_identity_token_file needs role_arn')
    refused('[profile a]\nweb_identity_token_file = /t\nrole_arn = x',
      '/t (AWS profile "a") cannot be read: there is no')
  end)
end)

describe('a profile with several sources', function()
  local function program() return { status = 0, body = '{"Version":1,"AccessKeyId":"PROC","SecretAccessKey":"x"}' } end

  it('prefers keys in the credentials file to credential_process, and that to keys in config', function()
    local text = '[profile a]\ncredential_process = /p\n'
    assert.equal('AKIA', fetch(machine(text, '[a]\n' .. KEYS, { program = program }), 'a').access_key)
    assert.equal('PROC', fetch(machine(text .. KEYS, '', { program = program }), 'a').access_key)
  end)

  it('is a source for a role with credential_process too', function()
    local own = machine('[profile a]\nrole_arn = arn:r\nsource_profile = b\n[profile b]\ncredential_process = /p', '',
      { program = program, answers = { [STS] = stage.sts('AssumeRole', 60) } })
    fetch(own, 'a')
    assert.equal('PROC', own.requests[1].signer.access_key)
  end)
end)
