-- SPDX-License-Identifier: Apache-2.0
local stage = require 'support.aws_stage'
local imds = require 'ccrelay.credentials.aws.imds'
local json = require 'ccrelay.util.json'

local BASE = 'http://169.254.169.254'
local TOKEN = 'PUT ' .. BASE .. '/latest/api/token'
local ROLES = 'GET ' .. BASE .. '/latest/meta-data/iam/security-credentials/'
local OFF = { AWS_EC2_METADATA_V1_DISABLED = 'TRUE' }

local function good(fields)
  local object = {
    Code = 'Success', AccessKeyId = 'ASIA', SecretAccessKey = stage.SECRET, Token = 't', Expiration = stage.time(360),
  }
  for name, value in pairs(fields or {}) do object[name] = value end
  return { body = json.encode(object) }
end

local function machine(more, env)
  local answers = { [TOKEN] = { body = 'tok' }, [ROLES] = { body = 'my-role\n' }, [ROLES .. 'my-role'] = good() }
  for name, answer in pairs(more or {}) do answers[name] = answer or nil end
  return stage.new { answers = answers, env = env }
end

local function fetch(own, options) return imds.fetch(own.context, options) end

describe('the instance metadata service', function()
  it('is asked with a token, without a proxy, for 1 s', function()
    local own = machine()
    local value, expires = fetch(own)
    assert.same({
      access_key = 'ASIA', secret_key = stage.SECRET, session_token = 't', source = 'the role of the instance',
    }, value)
    assert.equal(stage.NOW + 360 * 60000, expires)
    assert.same({
      url = BASE .. '/latest/api/token', method = 'PUT', timeout_ms = 1000, direct = true,
      headers = { ['x-aws-ec2-metadata-token-ttl-seconds'] = '21600' },
    }, own.requests[1])
    for index = 2, 3 do
      assert.same({ ['x-aws-ec2-metadata-token'] = 'tok' }, own.requests[index].headers)
      assert.is_true(own.requests[index].direct)
    end
    assert.equal(3, #own.requests)
  end)

  for _, no in ipairs { { status = 403 }, { status = 404 }, { status = 405 }, 'timeout' } do
    local what = type(no) == 'table' and 'status ' .. no.status or no
    it('is asked by version 1 if the request for the token gets ' .. what, function()
      local own = machine { [TOKEN] = no }
      assert.equal('ASIA', fetch(own).access_key)
      assert.same({}, own.requests[2].headers)
    end)

    it('is not asked by version 1 if that is switched off, at ' .. what, function()
      local own = machine({ [TOKEN] = no }, OFF)
      assert.equal('the instance metadata service at ' .. BASE .. ' gave no token (' .. what
        .. '), and version 1 is switched off by AWS_EC2_METADATA_V1_DISABLED', stage.message(fetch(own)))
      assert.equal(1, #own.requests)
    end)
  end

  for part, case in pairs {
    ['answered the request for a token with status 400'] = { TOKEN, { status = 400 } },
    ['answered the request for a token with status 500'] = { TOKEN, { status = 500 } },
    ['answered with a token that no header can carry'] = { TOKEN, { body = 'CANARY7f3a9d\r\nx' } },
    ['has no role for this instance; attach an instance profile'] = { ROLES, { status = 404 } },
    ['answered /latest/meta-data/iam/security-credentials/ with status 500'] = { ROLES, { status = 500 } },
    ['security-credentials/ with nothing'] = { ROLES, { body = ' \n' } },
    ['something that is not the name of a role'] = { ROLES, { body = '<html>/../' } },
    ['did not answer: timeout'] = { ROLES, 'timeout' },
    ['security-credentials/my-role with status 503'] = { ROLES .. 'my-role', { status = 503 } },
    ['something that is not a JSON object'] = { ROLES .. 'my-role', { body = 'CANARY7f3a9d' } },
    ['refuses: AssumeRoleUnauthorizedAccess: EC2 cannot assume the role'] = { ROLES .. 'my-role', {
      body = '{"Code":"AssumeRoleUnauthorizedAccess","Message":"EC2 cannot assume the role"}' } },
    ['refuses: Failed'] = { ROLES .. 'my-role', { body = '{"Code":"Failed"}' } },
    ['in which SecretAccessKey is missing'] = { ROLES .. 'my-role', good { SecretAccessKey = json.null } },
    ['in which Expiration is missing'] = { ROLES .. 'my-role', good { Expiration = json.null } },
    ['in which Expiration is not a time'] = { ROLES .. 'my-role', good { Expiration = 'soon' } },
  } do
    it('fails: ' .. part, function()
      local message = stage.message(fetch(machine { [case[1]] = case[2] }))
      assert.truthy(message:find(part, 1, true), message)
    end)
  end

  it('is at the address in the environment', function()
    local own = machine({}, { AWS_EC2_METADATA_SERVICE_ENDPOINT_MODE = 'IPv6' })
    assert.equal('http://[fd00:ec2::254]', imds.base(own.context))
    own.env.AWS_EC2_METADATA_SERVICE_ENDPOINT = 'http://127.0.0.1:9/'
    assert.equal('http://127.0.0.1:9', imds.base(own.context))
    own.env.AWS_EC2_METADATA_SERVICE_ENDPOINT = 'here'
    assert.truthy(stage.message(imds.base(own.context)):find 'is not an http')
  end)

  it('is not asked if it is switched off', function()
    local own = machine({}, { AWS_EC2_METADATA_DISABLED = 'True' })
    assert.truthy(stage.message(fetch(own)):find('switched off by AWS_EC2_METADATA_DISABLED', 1, true))
    assert.equal(0, #own.requests)
    assert.equal('ASIA', fetch(machine({}, { AWS_EC2_METADATA_DISABLED = 'false' })).access_key)
  end)

  it('may give expired credentials: they are used, and fetched again in 10 to 20 minutes', function()
    local own = machine { [ROLES .. 'my-role'] = good { Expiration = stage.time(-30) } }
    for _ = 1, 20 do
      local value, expires = fetch(own)
      assert.equal('ASIA', value.access_key)
      local again = expires - stage.NOW - 15 * 60000
      assert.is_true(again >= 10 * 60000 and again <= 20 * 60000)
    end
  end)

  it('may be down once they have expired, and not before', function()
    local own, options = machine(), { memory = {} }
    fetch(own, options)
    own.answers[ROLES] = 'timeout'
    assert.truthy(stage.message(fetch(own, options)):find('did not answer', 1, true))
    own.now = stage.NOW + 360 * 60000
    local value, expires = fetch(own, options)
    assert.equal('ASIA', value.access_key)
    assert.is_true(expires >= own.now + 25 * 60000)
  end)

  it('gives the region', function()
    local placement = 'GET ' .. BASE .. '/latest/meta-data/placement/'
    assert.equal('eu-west-1', imds.region(machine({ [placement .. 'region'] = { body = 'eu-west-1' } }).context))
    local own = machine { [placement .. 'availability-zone'] = { body = 'eu-west-1b' } }
    assert.equal('eu-west-1', imds.region(own.context))
    own.answers[placement .. 'region'] = { body = 'evil.test/' }
    assert.truthy(stage.message(imds.region(own.context)):find('is not a region', 1, true))
    assert.truthy(stage.message(imds.region(machine().context)):find('did not answer', 1, true))
    own.env.AWS_EC2_METADATA_DISABLED = 'true'
    assert.truthy(stage.message(imds.region(own.context)):find 'switched off')
  end)
end)
