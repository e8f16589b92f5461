-- SPDX-License-Identifier: Apache-2.0
local stage = require 'support.aws_stage'
local aws = require 'ccrelay.credentials.aws'
local skew = require 'ccrelay.credentials.aws.skew'

local CREDENTIALS = '/home/me/.aws/credentials'
local FILE = { [CREDENTIALS] = '[default]\naws_access_key_id = FILE\naws_secret_access_key = ' .. stage.SECRET }
local ENV = { AWS_ACCESS_KEY_ID = 'ENV', AWS_SECRET_ACCESS_KEY = stage.SECRET }

local function provider_of(own, settings, adapter)
  settings = settings or {}
  settings.aws_region = settings.aws_region or 'eu-west-1'
  local provider = { name = settings.name or 'p', settings = settings, adapter = adapter or {} }
  provider.source = aws.source(provider, own.context)
  return provider, { key = { provider = provider } }
end

local function request_of(seen)
  return {
    exchange = {},
    header = function(_, name, value) seen.headers[name] = value end,
    sign = function(_, signer) seen.signer = signer end,
  }
end

local function apply(given, settings, adapter)
  local own = stage.new(given)
  local seen = { headers = {} }
  local provider, upstream = provider_of(own, settings, adapter)
  local ok, message = aws.apply(request_of(seen), upstream, provider.adapter)
  return ok, message, seen
end

describe('a request to AWS', function()
  it('is signed for the provider\'s region and Bedrock', function()
    local ok, _, seen = apply({ env = ENV }, { aws_access_key_id = 'CONF', aws_secret_access_key = 's',
      aws_session_token = 't' })
    assert.is_true(ok)
    assert.same({
      access_key = 'CONF', secret_key = 's', session_token = 't', region = 'eu-west-1', service = 'bedrock',
        skew_ms = 0,
    }, seen.signer)
    assert.same({}, seen.headers)
  end)

  it('is signed for the adapter\'s service', function()
    local _, _, seen = apply({ env = ENV }, nil, { service = 'aws-external-anthropic' })
    assert.same({ 'aws-external-anthropic', 'ENV' }, { seen.signer.service, seen.signer.access_key })
  end)

  it('has the bearer token instead, and no signature', function()
    for _, service in ipairs { 'bedrock', 'bedrock-mantle' } do
      local _, _, seen = apply({ env = { AWS_BEARER_TOKEN_BEDROCK = stage.SECRET } }, nil, { service = service })
      assert.same({ authorization = 'Bearer ' .. stage.SECRET }, seen.headers)
      assert.is_nil(seen.signer)
    end
  end)

  it('to another service never has the bearer token', function()
    local env = { AWS_BEARER_TOKEN_BEDROCK = 'b', AWS_ACCESS_KEY_ID = 'ENV', AWS_SECRET_ACCESS_KEY = 'x' }
    local _, _, seen = apply({ env = env }, nil, { service = 'aws-external-anthropic' })
    assert.same({ {}, 'ENV' }, { seen.headers, seen.signer.access_key })
  end)

  it('is not sent without credentials', function()
    local ok, message = apply { env = { AWS_EC2_METADATA_DISABLED = 'true' } }
    assert.truthy(stage.message(ok, message):find('no AWS credentials in the configuration', 1, true))
  end)

  it('is signed with the time of AWS once that is known', function()
    local own = stage.new { env = ENV }
    local provider, upstream = provider_of(own)
    skew.learn('p', stage.date(-20), stage.NOW, 0)
    local seen = { headers = {} }
    aws.apply(request_of(seen), upstream, provider.adapter)
    assert.equal(-1200000, seen.signer.skew_ms)
  end)
end)

describe('the source of a provider', function()
  it('has a name that depends on all that matters, without a secret', function()
    local own = stage.new {}
    local seen, count = {}, 0
    for _, settings in ipairs {
      {}, { aws_access_key_id = 'A', aws_secret_access_key = 'CANARY7f3a9d' }, { aws_access_key_id = 'A',
        aws_secret_access_key = 'C' },
      { aws_access_key_id = 'A', aws_secret_access_key = 'C', aws_session_token = 'CANARY7f3a9d' },
        { aws_profile = 'x' },
      { aws_region = 'us-east-1' }, { name = 'q' },
    } do
      local name = provider_of(own, settings).source.name
      assert.is_nil(seen[name])
      assert.is_nil(name:find(stage.CANARY, 1, true))
      assert.equal(name, provider_of(own, settings).source.name)
      seen[name], count = true, count + 1
    end
    assert.equal(7, count)
  end)

  it('has the renewal windows of botocore, and a label for messages', function()
    local source = provider_of(stage.new {}).source
    assert.same({ 900000, 600000, 'the AWS credentials of provider "p"' },
      { source.advisory_ms, source.mandatory_ms, source.label })
  end)

  it('sends no request when it is made', function()
    local own = stage.new {}
    provider_of(own)
    assert.equal(0, #own.requests)
  end)
end)

local function failure(status, name, message, date)
  return {
    status = status, headers = { ['x-amzn-errortype'] = name, date = date }, message = nil,
    attempt = { credential = 1 },
    decoded = message and { message = message } or nil,
  }
end

local function recover(given, outcome, settings)
  local own = stage.new(given)
  local _, upstream = provider_of(own, settings)
  return aws.recover(outcome, upstream), #own.voided
end

describe('a refusal of credentials', function()
  for _, name in ipairs {
    'ExpiredTokenException', 'ExpiredToken', 'UnrecognizedClientException', 'InvalidClientTokenId',
    'ExpiredTokenException:http://internal.amazon.com/coral/', 'com.amazon.coral.service#UnrecognizedClientException',
  } do
    it('has them fetched again: ' .. name, function()
      for _, status in ipairs { 401, 403 } do
        local again, voided = recover({ files = FILE }, failure(status, name))
        assert.same({ true, 1 }, { again, voided })
      end
    end)
  end

  for _, words in ipairs {
    'The security token included in the request is expired', 'The security token included in the request is invalid.',
  } do
    it('is recognized by its message: ' .. words, function()
      local again, voided = recover({ files = FILE }, failure(403, nil, words))
      assert.same({ true, 1 }, { again, voided })
    end)
  end

  it('is recognized by the name in the body', function()
    local outcome = failure(403)
    outcome.decoded = { __type = 'x#ExpiredTokenException' }
    assert.is_true((recover({ files = FILE }, outcome)))
  end)

  it('has the file read again', function()
    local own = stage.new { files = { [CREDENTIALS] = FILE[CREDENTIALS] } }
    local provider, upstream = provider_of(own)
    assert.equal('FILE', provider.source.fetch().access_key)
    own.files[CREDENTIALS] = FILE[CREDENTIALS]:gsub('FILE', 'NEW')
    assert.is_true(aws.recover(failure(403, 'UnrecognizedClientException'), upstream))
    assert.equal(provider.source, own.voided[1])
    assert.equal('NEW', provider.source.fetch().access_key)
  end)

  it('of credentials that cannot change is final', function()
    for _, case in ipairs {
      { { env = ENV }, {} }, { { env = { AWS_BEARER_TOKEN_BEDROCK = 'x' } }, {} },
      { {}, { aws_access_key_id = 'A', aws_secret_access_key = 'B' } },
    } do
      local again, voided = recover(case[1], failure(403, 'ExpiredTokenException'), case[2])
      assert.same({ false, 0 }, { again, voided })
    end
    assert.is_true((recover({ env = ENV, files = FILE }, failure(403, 'ExpiredTokenException'),
      { aws_profile = 'default' })))
  end)

  for _, outcome in ipairs {
    failure(403, 'AccessDeniedException', 'You are not authorized'), failure(429, 'ThrottlingException'),
    failure(500, 'ExpiredTokenException'), { error = 'CC_EREFUSED', headers = {} }, failure(403), failure(401, nil,
      'no'),
    failure(403, 'NoExpiredTokenExceptionAtAll'),
  } do
    it('is not ' .. tostring(outcome.status or outcome.error) .. ' '
      .. tostring((outcome.headers or {})['x-amzn-errortype']), function()
      local again, voided = recover({ files = FILE }, outcome)
      assert.same({ false, 0 }, { again, voided })
    end)
  end
end)

describe('a wrong clock', function()
  for _, case in ipairs {
    { 403, 'RequestTimeTooSkewed' }, { 403, 'SignatureDoesNotMatch' }, { 400, 'RequestExpired' },
    { 403, 'InvalidSignatureException', 'Signature expired: 20261125T000000Z is now earlier than 20261125T001000Z' },
    { 403, 'InvalidSignatureException', 'Signature not yet current: x' }, { 403, nil,
      'Signature expired: x is now earlier' },
  } do
    it('is learned by ' .. tostring(case[2] or case[3]), function()
      for _, minutes in ipairs { 10, -10 } do
        local again, voided = recover({ env = ENV }, failure(case[1], case[2], case[3], stage.date(minutes)))
        assert.same({ true, 0, minutes * 60000 }, { again, voided, skew.read 'p' })
      end
    end)
  end

  it('is not blamed if it is right', function()
    local again, voided = recover({ env = ENV }, failure(403, 'SignatureDoesNotMatch', nil, stage.date(3)))
    assert.same({ false, 0, 0 }, { again, voided, skew.read 'p' })
  end)

  it('is not blamed without a date', function()
    assert.is_false((recover({ env = ENV }, failure(403, 'RequestTimeTooSkewed'))))
  end)

  it('is not blamed for a wrong secret, which the file may correct by the next request', function()
    local again, voided = recover({ files = FILE }, failure(403, 'InvalidSignatureException', 'x', stage.date(0)))
    assert.same({ false, 1 }, { again, voided })
  end)

  it('is tried again if another worker has learned the skew meanwhile', function()
    local own = stage.new { env = ENV }
    local provider, upstream = provider_of(own)
    aws.apply(request_of { headers = {} }, upstream, provider.adapter)
    skew.learn('p', stage.date(10), stage.NOW, 0)
    assert.is_true(aws.recover(failure(403, 'RequestTimeTooSkewed', nil, stage.date(10)), upstream))
  end)

  it('is forgotten when it is right again', function()
    local own = stage.new { env = ENV }
    local provider, upstream = provider_of(own)
    skew.learn('p', stage.date(10), stage.NOW, 0)
    aws.apply(request_of { headers = {} }, upstream, provider.adapter)
    assert.is_true(aws.recover(failure(403, 'RequestTimeTooSkewed', nil, stage.date(0)), upstream))
    assert.equal(0, skew.read 'p')
  end)
end)

describe('the credentials of an instance', function()
  it('are forgotten when they are refused', function()
    local own = stage.new {}
    local provider, upstream = provider_of(own)
    provider.source.options.memory.instance = { value = { access_key = 'OLD' }, expires = 0 }
    assert.equal('OLD', provider.source.fetch().access_key)
    aws.recover(failure(403, 'ExpiredTokenException'), upstream)
    assert.is_nil((provider.source.fetch()))
  end)
end)

describe('the examination of a provider', function()
  it('uses its settings', function()
    local own = stage.new { env = { AWS_BEARER_TOKEN_BEDROCK = 'x' } }
    local provider = provider_of(own)
    assert.same({}, aws.examine(provider, own.context))
    provider.settings.aws_region = 'nowhere'
    assert.equal('fault', aws.examine(provider, own.context)[1].severity)
    provider.settings.aws_region, provider.adapter.service = 'eu-west-1', 'aws-external-anthropic'
    assert.equal('warning', aws.examine(provider, own.context)[1].severity)
  end)
end)
