-- SPDX-License-Identifier: Apache-2.0
local stage = require 'support.aws_stage'
local skew = require 'ccrelay.credentials.aws.skew'
local sts = require 'ccrelay.credentials.aws.sts'

local URL = 'POST https://sts.us-east-1.amazonaws.com/'
local SIGNER = { access_key = 'AKIA', secret_key = stage.SECRET }

local function ask(answers, env, region)
  local own = stage.new { answers = answers, env = env }
  local call = { action = 'AssumeRole', region = region or 'us-east-1', role = 'arn:r', form = {}, signer = SIGNER }
  return own, sts.ask(own.context, { name = 'p' }, call, 'role')
end

local function good(minutes) return stage.sts('AssumeRole', minutes or 60) end

describe('STS', function()
  it('is asked in the region, in another domain in China, or at AWS_ENDPOINT_URL_STS', function()
    local _, value = ask { [URL] = good() }
    assert.equal('ASIAROLE', value.access_key)
    _, value = ask({ ['POST https://sts.cn-north-1.amazonaws.com.cn/'] = good() }, {}, 'cn-north-1')
    assert.equal('ASIAROLE', value.access_key)
    _, value = ask({ ['POST http://127.0.0.1:1/'] = good() }, { AWS_ENDPOINT_URL_STS = 'http://127.0.0.1:1/' })
    assert.equal('ASIAROLE', value.access_key)
  end)

  for _, error_ in ipairs {
    stage.sts_error(503, 'ServiceUnavailable', 'x'), stage.sts_error(400, 'Throttling', 'Rate exceeded'),
    stage.sts_error(400, 'IDPCommunicationError', 'x'), { status = 502, body = '<html>' }, { status = 429 }, 'reset',
    stage.sts_error(400, 'ThrottlingException', 'x'), stage.sts_error(400, 'RequestLimitExceeded', 'x'),
    { status = 500 },
  } do
    it('is asked again after a failure that may pass', function()
      local own, value = ask { [URL] = { error_, error_, good() } }
      assert.equal('ASIAROLE', value.access_key)
      assert.same({ 250, 500 }, own.sleeps)
    end)
  end

  it('is asked at most three times', function()
    local own, value, more = ask { [URL] = 'reset' }
    assert.equal('the request to STS for arn:r failed: reset', stage.message(value, more))
    assert.same({ 3, 2 }, { #own.requests, #own.sleeps })
  end)

  it('is not asked again soon after access denied or a validation error', function()
    for _, code in ipairs { 'AccessDenied', 'ValidationError' } do
      local _, value, more = ask { [URL] = stage.sts_error(403, code, 'x') }
      assert.is_nil(value)
      assert.is_true(more.final)
    end
    local _, _, more = ask { [URL] = stage.sts_error(403, 'ExpiredToken', 'x') }
    assert.equal('string', type(more))
  end)

  it('is asked once if it refuses', function()
    local own, value, more = ask { [URL] = stage.sts_error(403, 'InvalidClientTokenId', 'The token &lt;x&gt;') }
    assert.equal('STS refused AssumeRole for arn:r: InvalidClientTokenId: The token <x>', more)
    assert.equal(1, #own.requests)
    assert.is_nil(value)
  end)

  it('is not understood without XML', function()
    local _, value, more = ask { [URL] = { status = 403, body = 'no' } }
    assert.equal('STS refused AssumeRole for arn:r: status 403 without an error STS would send', stage.message(value,
      more))
    _, value, more = ask { [URL] = { body = '{}' } }
    assert.equal('STS answered AssumeRole with XML that cannot be read', stage.message(value, more))
  end)

  for gone, part in pairs {
    AccessKeyId = 'AccessKeyId is missing', SecretAccessKey = 'SecretAccessKey is missing',
    SessionToken = 'SessionToken is missing', Expiration = 'Expiration is missing or not a time',
  } do
    it('must give ' .. gone, function()
      local answer = good()
      answer.body = answer.body:gsub('<' .. gone .. '>.-</' .. gone .. '>', '')
      local _, value, more = ask { [URL] = answer }
      assert.equal('the answer of STS to AssumeRole is incomplete: ' .. part, stage.message(value, more))
    end)
  end

  it('teaches what the clock is off, and is asked again', function()
    local late = stage.sts_error(403, 'SignatureDoesNotMatch', 'Signature expired', { date = stage.date(30) })
    local own, value = ask { [URL] = { late, good() } }
    assert.equal('ASIAROLE', value.access_key)
    assert.same({ 0, 1800000 }, { own.requests[1].signer.skew_ms, own.requests[2].signer.skew_ms })
    assert.equal(1800000, skew.read 'p')
  end)

  it('is not asked again when the signature is wrong in time', function()
    local own, value, more = ask {
      [URL] = stage.sts_error(403, 'SignatureDoesNotMatch', 'wrong', { date = stage.date(1) }),
    }
    assert.is_nil(value)
    assert.truthy(more:find('SignatureDoesNotMatch: wrong', 1, true))
    assert.same({ 1, 0 }, { #own.requests, skew.read 'p' })
  end)

  it('names the end in its own time', function()
    local answer = good(60)
    answer.headers = { date = stage.date(30) }
    local _, _, expires = ask { [URL] = answer }
    assert.equal(stage.NOW + 30 * 60000, expires)
    answer.headers = { date = stage.date(2) }
    _, _, expires = ask { [URL] = answer }
    assert.equal(stage.NOW + 60 * 60000, expires)
  end)
end)
