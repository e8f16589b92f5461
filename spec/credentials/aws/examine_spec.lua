-- SPDX-License-Identifier: Apache-2.0
local stage = require 'support.aws_stage'
local chain = require 'ccrelay.credentials.aws.chain'
local examine = require 'ccrelay.credentials.aws.examine'

local CONFIG, CREDENTIALS = '/home/me/.aws/config', '/home/me/.aws/credentials'

-- The notes as texts, one to a line.
local function notes(given, settings, region)
  local own = stage.new(given)
  local options = { settings = settings or {}, bearer = true, region = region or 'us-east-1', name = 'p' }
  if region == '' then options.region = nil end
  local lines = {}
  for index, note in ipairs(examine(own.context, options)) do lines[index] = note.severity .. ': ' .. note.message end
  assert.same({ 0, 0 }, { #own.requests, #own.runs })
  local text = table.concat(lines, '\n')
  assert.is_nil(text:find(stage.CANARY, 1, true), text)
  return text
end

local function config(text) return { files = { [CONFIG] = text } } end

local KEYS = 'aws_access_key_id = A\naws_secret_access_key = ' .. stage.SECRET .. '\n'
local ENV = { AWS_ACCESS_KEY_ID = 'A', AWS_SECRET_ACCESS_KEY = stage.SECRET }
local SSO = '[default]\nsso_account_id = 1\nsso_role_name = r\nsso_region = eu-west-1\n'
  .. 'sso_start_url = https://corp.awsapps.com/start\n'
local CACHE = '/home/me/.aws/sso/cache/' .. stage.SHA1['https://corp.awsapps.com/start'] .. '.json'

describe('an examination of AWS credentials', function()
  it('finds nothing in good settings', function()
    for _, given in ipairs {
      { env = ENV }, { env = { AWS_BEARER_TOKEN_BEDROCK = stage.SECRET } }, config('[default]\n' .. KEYS),
      config '[default]\ncredential_process = /p', config('[default]\nrole_arn = x\nsource_profile = b\n[profile b]\n'
        .. KEYS),
      config '[default]\nrole_arn = x\ncredential_source = Ec2InstanceMetadata',
      { env = { AWS_WEB_IDENTITY_TOKEN_FILE = '/t', AWS_ROLE_ARN = 'x' }, files = { ['/t'] = 'x' } },
      { env = { AWS_CONTAINER_CREDENTIALS_RELATIVE_URI = '/x' } },
      { files = { [CONFIG] = SSO, [CACHE] = '{"accessToken":"x","expiresAt":"' .. stage.time(1) .. '"}' } },
    } do
      assert.equal('', notes(given))
    end
    assert.equal('', notes({}, { aws_access_key_id = 'A', aws_secret_access_key = stage.SECRET }))
    assert.equal('', notes(config('[profile x]\n' .. KEYS), { aws_profile = 'x' }))
  end)

  it('checks the form of a region', function()
    for _, region in ipairs { 'us-east', 'US-EAST-1', 'us-east-1.evil.test' } do
      assert.equal('fault: aws_region is "' .. region .. '", which is not an AWS region; it is a name such as '
        .. 'us-east-1, eu-central-1 or us-gov-west-1', notes({ env = ENV }, {}, region))
    end
    assert.equal('fault: aws_region is missing; it is the name of an AWS region, such as us-east-1, eu-central-1 or '
      .. 'us-gov-west-1', notes({ env = ENV }, {}, ''))
  end)

  it('finds half a key pair', function()
    assert.equal('fault: aws_secret_access_key is missing in the configuration; aws_access_key_id and '
      .. 'aws_secret_access_key go together', notes({ env = ENV }, { aws_access_key_id = 'A' }))
    assert.equal('fault: AWS_ACCESS_KEY_ID is missing in the environment; AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY '
      .. 'go together: set or unset both', notes { env = { AWS_SECRET_ACCESS_KEY = stage.SECRET } })
    assert.equal('fault: the AWS profile "default" in ' .. CREDENTIALS .. ': aws_secret_access_key is missing',
      notes { files = { [CREDENTIALS] = '[default]\naws_access_key_id = A' } })
  end)

  it('finds a missing profile', function()
    local text = 'fault: the AWS profile "gone" is neither in ' .. CONFIG .. ' nor in ' .. CREDENTIALS
      .. '; there are: b, default'
    local given = config('[default]\n' .. KEYS .. '[profile b]\n' .. KEYS)
    assert.equal(text, notes(given, { aws_profile = 'gone' }))
    given.env = { AWS_PROFILE = 'gone' }
    assert.equal(text, notes(given))
  end)

  it('checks only the source that will be used', function()
    local given = config 'broken'
    given.env = ENV
    assert.equal('', notes(given))
    given.env = nil
    assert.equal('fault: ' .. CONFIG .. ':1: a line before the first section, such as [default]', notes(given))
  end)

  it('finds an SSO session that has expired or does not exist', function()
    local given = config(SSO)
    assert.equal('warning: the AWS profile "default" needs an SSO session, but there is none; run: aws sso login '
      .. '--profile default', notes(given))
    given.files[CACHE] = '{"accessToken":"CANARY7f3a9d","expiresAt":"' .. stage.time(-1) .. '"}'
    assert.equal('warning: the SSO session of the AWS profile "default" has expired; run: aws sso login '
      .. '--profile default',
      notes(given))
  end)

  it('finds it as the source of a role too', function()
    local given = config('[profile a]\nrole_arn = x\nsource_profile = default\n' .. SSO)
    assert.truthy(notes(given, { aws_profile = 'a' }):find('^warning: .*aws sso login %-%-profile default$'))
  end)

  it('finds a missing source of a role', function()
    local given = config '[default]\nrole_arn = x\ncredential_source = EcsContainer'
    assert.equal('warning: credential_source EcsContainer of the AWS profile "default": it has no credentials',
      notes(given))
    given.env = { AWS_CONTAINER_CREDENTIALS_RELATIVE_URI = '/x' }
    assert.equal('', notes(given))
    given = config '[default]\nrole_arn = x\ncredential_source = Environment'
    assert.truthy(notes(given):find '^warning: credential_source Environment .*it has no credentials$')
  end)

  it('finds a circle', function()
    local text = notes(config '[default]\nrole_arn = x\nsource_profile = default')
    assert.truthy(text:find '^fault: .*default %-> default$')
  end)

  it('finds a web identity without a role, and one without a token', function()
    assert.equal('fault: AWS_WEB_IDENTITY_TOKEN_FILE is set, so AWS_ROLE_ARN must name the role',
      notes { env = { AWS_WEB_IDENTITY_TOKEN_FILE = '/t' } })
    assert.equal('warning: the web identity token /t (AWS_WEB_IDENTITY_TOKEN_FILE) cannot be read: there is no such '
      .. 'file',
      notes { env = { AWS_WEB_IDENTITY_TOKEN_FILE = '/t', AWS_ROLE_ARN = 'x' } })
  end)

  it('finds a container endpoint that must not be asked', function()
    local text = notes { env = { AWS_CONTAINER_CREDENTIALS_FULL_URI = 'http://evil.test/' } }
    assert.truthy(text:find '^fault: AWS_CONTAINER')
  end)

  it('warns if there is nothing, and names the service that will be asked', function()
    local files = ' (' .. CONFIG .. ', ' .. CREDENTIALS .. ')'
    assert.equal('warning: ' .. chain.NOTHING .. files .. '; the container or instance role will be asked at the first '
      .. 'request', notes {})
    assert.equal('warning: ' .. chain.NOTHING .. files .. '; the instance metadata service is switched off by '
      .. 'AWS_EC2_METADATA_DISABLED', notes { env = { AWS_EC2_METADATA_DISABLED = 'true' } })
    local text = notes { files = { [CONFIG] = { 'permission denied' } } }
    assert.truthy(text:find(CONFIG .. ' cannot be read: permission denied', 1, true))
  end)
end)
