-- SPDX-License-Identifier: Apache-2.0
local stage = require 'support.aws_stage'
local identity = require 'ccrelay.credentials.aws.identity'

local URL = 'POST https://sts.us-east-1.amazonaws.com/'

local function machine(env, token)
  return stage.new { env = env, files = { ['/t'] = token }, answers = {
    [URL] = stage.sts('AssumeRoleWithWebIdentity', 60),
  } }
end

local function fetch(own) return identity.fetch(own.context, { region = 'us-east-1' }) end

local ENV = { AWS_WEB_IDENTITY_TOKEN_FILE = '/t', AWS_ROLE_ARN = 'arn:r' }

describe('a web identity', function()
  it('is exchanged for the credentials of the role, without a signature', function()
    local own = machine({ AWS_WEB_IDENTITY_TOKEN_FILE = '/t', AWS_ROLE_ARN = 'arn:r', AWS_ROLE_SESSION_NAME = 's' },
      'a.b+c\n')
    local value, expires = fetch(own)
    assert.same({ 'ASIAROLE', 'web identity', stage.NOW + 3600000 }, { value.access_key, value.source, expires })
    assert.equal('Action=AssumeRoleWithWebIdentity&Version=2011-06-15&RoleArn=arn%3Ar&RoleSessionName=s'
      .. '&WebIdentityToken=a.b%2Bc', own.requests[1].body)
    assert.is_nil(own.requests[1].signer)
  end)

  it('is read each time', function()
    local own = machine(ENV, 'one')
    fetch(own)
    own.files['/t'] = 'two'
    fetch(own)
    assert.truthy(own.requests[2].body:find('&WebIdentityToken=two$'))
    assert.truthy(own.requests[2].body:find('RoleSessionName=ccrelay%-%d+&'))
  end)

  it('can be in the home folder', function()
    local own = machine({ AWS_WEB_IDENTITY_TOKEN_FILE = '~/t', AWS_ROLE_ARN = 'arn:r' })
    own.files['/home/me/t'] = 'x'
    assert.equal('ASIAROLE', fetch(own).access_key)
    own.env.HOME = ''
    assert.truthy(stage.message(fetch(own)):find('~/t (AWS_WEB', 1, true))
  end)

  it('is absent without a token file', function()
    assert.same({ nil, nil }, { fetch(machine({ AWS_ROLE_ARN = 'arn:r', AWS_WEB_IDENTITY_TOKEN_FILE = ' ' })) })
  end)

  for part, case in pairs {
    ['AWS_ROLE_ARN must name the role'] = { { AWS_WEB_IDENTITY_TOKEN_FILE = '/t', AWS_ROLE_ARN = ' ' }, 'x' },
    ['/t (AWS_WEB_IDENTITY_TOKEN_FILE) is empty'] = { ENV, ' \n' },
    ['/t (AWS_WEB_IDENTITY_TOKEN_FILE) cannot be read: there is no such file'] = { ENV },
  } do
    it('is faulty: ' .. part, function()
      local message = stage.message(fetch(machine(case[1], case[2])))
      assert.truthy(message:find(part, 1, true), message)
    end)
  end

  it('is refused with the message of STS, without the token', function()
    local own = machine(ENV, stage.SECRET)
    own.answers[URL] = stage.sts_error(400, 'ExpiredTokenException', 'Token expired: current date/time')
    assert.equal('STS refused AssumeRoleWithWebIdentity for arn:r: ExpiredTokenException: Token expired: current '
      .. 'date/time',
      stage.message(fetch(own)))
  end)
end)
