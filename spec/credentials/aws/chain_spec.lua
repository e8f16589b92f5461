-- SPDX-License-Identifier: Apache-2.0
local stage = require 'support.aws_stage'
local chain = require 'ccrelay.credentials.aws.chain'

local CONFIG = '/home/me/.aws/config'
local STS = 'POST https://sts.us-east-1.amazonaws.com/'
local CONTAINER = 'GET http://169.254.170.2/c'
local IMDS = 'http://169.254.169.254/latest/'
local ROLES = 'GET ' .. IMDS .. 'meta-data/iam/security-credentials/'

local function object(id)
  return { body = ('{"Code":"Success","AccessKeyId":"%s","SecretAccessKey":"%s","Token":"t","Expiration":"%s"}')
    :format(id, stage.SECRET, stage.time(60)) }
end

-- A machine that has every source.
local function everything()
  local own = stage.new {
    env = {
      AWS_BEARER_TOKEN_BEDROCK = 'bearer', AWS_ACCESS_KEY_ID = 'ENV', AWS_SECRET_ACCESS_KEY = 'x',
      AWS_WEB_IDENTITY_TOKEN_FILE = '/t', AWS_ROLE_ARN = 'arn:r', AWS_CONTAINER_CREDENTIALS_RELATIVE_URI = '/c',
    },
    files = {
      ['/t'] = 'jwt',
      [CONFIG] = '[default]\naws_access_key_id = FILE\naws_secret_access_key = x\n'
        .. '[profile mine]\naws_access_key_id = MINE\naws_secret_access_key = x\n',
    },
    answers = {
      [STS] = stage.sts('AssumeRoleWithWebIdentity', 60, 'WEB'), [CONTAINER] = object 'CONTAINER',
      ['PUT ' .. IMDS .. 'api/token'] = { body = 'tok' }, [ROLES] = { body = 'r' }, [ROLES .. 'r'] = object 'INSTANCE',
    },
  }
  local options = { region = 'us-east-1', bearer = true, settings = {
    aws_access_key_id = 'CONF', aws_secret_access_key = 'x', aws_session_token = 't', aws_profile = 'mine',
  } }
  return own, options
end

-- What is taken away, one after the other, and what is found then.
local ORDER = {
  { 'CONF', function(_, options) options.settings.aws_access_key_id, options.settings.aws_secret_access_key = nil,
    ' ' end },
  { 'MINE', function(_, options) options.settings.aws_profile = '' end },
  { 'bearer', function(own) own.env.AWS_BEARER_TOKEN_BEDROCK = ' ' end },
  { 'ENV', function(own) own.env.AWS_ACCESS_KEY_ID, own.env.AWS_SECRET_ACCESS_KEY = '', nil end },
  { 'FILE', function(own) own.files[CONFIG] = nil end },
  { 'WEB', function(own) own.env.AWS_WEB_IDENTITY_TOKEN_FILE = '' end },
  { 'CONTAINER', function(own) own.env.AWS_CONTAINER_CREDENTIALS_RELATIVE_URI = ' ' end },
  { 'INSTANCE', function(own) own.env.AWS_EC2_METADATA_DISABLED = 'true' end },
}

local function found(own, options)
  local value, more = chain.resolve(own.context, options)
  if value then return value.access_key or value.bearer, more end
  return nil, more
end

describe('the chain', function()
  it('has an order', function()
    local own, options = everything()
    local seen, wanted = {}, {}
    for index, row in ipairs(ORDER) do
      seen[index], wanted[index] = found(own, options), row[1]
      row[2](own, options)
    end
    assert.same(wanted, seen)
    assert.equal(chain.NOTHING .. '; the instance metadata service is switched off by AWS_EC2_METADATA_DISABLED',
      stage.message(found(own, options)))
  end)

  it('sends no request for static credentials', function()
    local own, options = everything()
    for index = 1, 5 do
      found(own, options)
      ORDER[index][2](own, options)
    end
    assert.equal(0, #own.requests)
  end)

  it('gives static credentials no expiry, and temporary ones theirs', function()
    local own, options = everything()
    local _, expires = found(own, options)
    assert.is_nil(expires)
    for index = 1, 5 do ORDER[index][2](own, options) end
    for index = 6, 8 do
      _, expires = found(own, options)
      assert.equal(stage.NOW + 3600000, expires)
      ORDER[index][2](own, options)
    end
  end)

  it('takes the bearer token only if that is allowed', function()
    local own = everything()
    assert.equal('ENV', found(own, {}))
  end)

  it('works without settings and region for sources that need none', function()
    local own = stage.new { env = { AWS_ACCESS_KEY_ID = 'ENV', AWS_SECRET_ACCESS_KEY = 'x' } }
    assert.equal('ENV', found(own, {}))
  end)

  -- Each source made faulty, with all sources behind it in order.
  local FAULTY = {
    { 0, 'aws_secret_access_key is missing', function(_, options) options.settings.aws_secret_access_key = ' ' end },
    { 1, 'the AWS profile "gone"', function(_, options) options.settings.aws_profile = 'gone' end },
    { 2, 'AWS_BEARER_TOKEN_BEDROCK contains', function(own) own.env.AWS_BEARER_TOKEN_BEDROCK = 'a b' end },
    { 3, 'AWS_SECRET_ACCESS_KEY is missing', function(own) own.env.AWS_SECRET_ACCESS_KEY = ' ' end },
    { 4, CONFIG .. ':1: ', function(own) own.files[CONFIG] = 'x' end },
    { 4, 'aws_secret_access_key is missing', function(own) own.files[CONFIG] = '[default]\naws_access_key_id = A' end },
    { 4, 'the AWS profile "gone"', function(own) own.env.AWS_PROFILE = 'gone' end },
    { 5, 'AWS_ROLE_ARN must', function(own) own.env.AWS_ROLE_ARN = '' end },
    { 5, '/t (AWS_WEB', function(own) own.files['/t'] = nil end },
    { 5, 'the request to STS for ', function(own) own.answers[STS] = nil end },
    { 6, 'RELATIVE_URI must', function(own) own.env.AWS_CONTAINER_CREDENTIALS_RELATIVE_URI = 'c' end },
    { 6, 'the container endpoint', function(own) own.answers[CONTAINER] = { status = 404 } end },
    { 7, 'has no role', function(own) own.answers[ROLES] = { status = 404 } end },
  }

  for _, row in ipairs(FAULTY) do
    it('ends with a faulty source: ' .. row[2], function()
      local own, options = everything()
      for index = 1, row[1] do ORDER[index][2](own, options) end
      row[3](own, options)
      local message = stage.message(found(own, options))
      assert.truthy(message:find(row[2], 1, true), message)
    end)
  end
end)
