-- SPDX-License-Identifier: Apache-2.0
-- Accounts of AWS: what is asked of whom, and the signed request that Google sends in our place.
local external = require 'support.external_world'
local world = require 'support.credential_world'
local google = require 'ccrelay.credentials.google'

local AUDIENCE = external.AUDIENCE
local with, info_of, has, wrong, fails = external.with, external.info_of, external.has, external.wrong, external.fails
local last = external.last

describe('external_account on AWS', function()
  local META = 'http://169.254.169.254/latest/'
  local KEYS = META .. 'meta-data/iam/security-credentials'

  local function metadata()
    return {
      ['PUT ' .. META .. 'api/token'] = { body = 'CANARY7f3a9d-session' },
      ['GET ' .. META .. 'meta-data/placement/availability-zone'] = { body = 'us-east-2b' },
      ['GET ' .. KEYS] = { body = 'the role\n' },
      ['GET ' .. KEYS .. '/the%20role'] = {
        body = { AccessKeyId = 'AKID', SecretAccessKey = 'CANARY7f3a9d-key', Token = 'CANARY7f3a9d-token',
          Code = 'Success' },
      },
    }
  end

  local function subject(state)
    local form = world.form(last(state).body)
    assert.equal('urn:ietf:params:aws:token-type:aws4_request', form.subject_token_type)
    return world.form('s=' .. form.subject_token).s
  end

  it('asks the metadata service for region and keys and signs', function()
    local state = with('external_aws', { answers = metadata() })
    assert.equal('sts', world.fetch(google).token)
    assert.equal('PUT', state.requests[1].method)
    assert.same({ ['x-aws-ec2-metadata-token-ttl-seconds'] = '300' }, state.requests[1].headers)
    for index = 2, 4 do
      assert.same({ ['x-aws-ec2-metadata-token'] = 'CANARY7f3a9d-session' }, state.requests[index].headers)
      assert.is_true(state.requests[index].direct)
    end
    assert.same({
      access_key = 'AKID', secret_key = 'CANARY7f3a9d-key', region = 'us-east-2', service = 'sts', now = world.NOW,
      method = 'POST', host = 'sts.us-east-2.amazonaws.com', target = '/?Action=GetCallerIdentity&Version=2011-06-15',
    }, state.signed)
    assert.equal('{"headers":[{"key":"authorization","value":"AWS4-HMAC-SHA256 Credential=AKID, Signature=5e"},'
      .. '{"key":"host","value":"sts.us-east-2.amazonaws.com"},{"key":"x-amz-date","value":"20261118T000000Z"},'
      .. '{"key":"x-amz-security-token","value":"CANARY7f3a9d-token"},'
      .. '{"key":"x-goog-cloud-target-resource","value":"' .. AUDIENCE .. '"}],"method":"POST",'
      .. '"url":"https://sts.us-east-2.amazonaws.com?Action=GetCallerIdentity&Version=2011-06-15"}', subject(state))
  end)

  it('asks no service if the environment has everything', function()
    local state = with('external_aws', {
      env = { AWS_REGION = 'eu-west-1', AWS_ACCESS_KEY_ID = 'ENVID', AWS_SECRET_ACCESS_KEY = 'CANARY7f3a9d-key' },
    })
    assert.equal('sts', world.fetch(google).token)
    assert.equal(1, #state.requests)
    assert.equal('ENVID', state.signed.access_key)
    assert.equal('sts.eu-west-1.amazonaws.com', state.signed.host)
    assert.is_nil(subject(state):find('security-token', 1, true))
  end)

  it('takes the default region, and a session token, of the environment', function()
    local state = with('external_aws', { env = {
      AWS_DEFAULT_REGION = 'us-gov-west-1', AWS_ACCESS_KEY_ID = 'ENVID', AWS_SECRET_ACCESS_KEY = 'k',
        AWS_SESSION_TOKEN = 'sess',
    } })
    world.fetch(google)
    has(subject(state), '{"key":"x-amz-security-token","value":"sess"}')
    assert.equal('us-gov-west-1', state.signed.region)
  end)

  it('asks for no session token if the file names no address for it', function()
    local info = info_of 'external_aws'
    info.credential_source.imdsv2_session_token_url = nil
    local state = with(info, { answers = metadata() })
    assert.equal('sts', world.fetch(google).token)
    assert.equal('GET', state.requests[1].method)
    assert.same({}, state.requests[1].headers)
  end)

  it('says what is missing', function()
    local env = { AWS_REGION = 'eu-west-1' }
    local info = info_of 'external_aws'
    info.credential_source.url, info.credential_source.region_url,
      info.credential_source.imdsv2_session_token_url = nil, nil, nil
    with(info)
    fails 'the AWS region is unknown: set AWS_REGION'
    with(info, { env = env })
    fails 'there are no AWS keys: set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY'
    with(info, { env = { AWS_REGION = 'eu/../west' } })
    fails 'AWS_REGION names something that is not an AWS region'
    local answers = metadata()
    answers['GET ' .. KEYS .. '/the%20role'] = { body = { AccessKeyId = 'AKID' } }
    with('external_aws', { answers = answers })
    fails 'gave no keys for the role: the answer: SecretAccessKey is missing'
    answers = metadata()
    answers['GET ' .. KEYS] = { status = 404, body = 'not found' }
    with('external_aws', { answers = answers })
    fails('the metadata service of AWS (' .. KEYS .. ') refused with status 404')
    answers = metadata()
    answers['GET ' .. KEYS] = { body = '' }
    with('external_aws', { answers = answers })
    fails('the metadata service of AWS (' .. KEYS .. ') answered with nothing')
    answers = metadata()
    answers['PUT ' .. META .. 'api/token'] = { body = 'a\nb' }
    with('external_aws', { answers = answers })
    fails 'a session token with bytes no token may have'
    with('external_aws', { env = { AWS_REGION = 'eu-west-1', AWS_ACCESS_KEY_ID = 'a\n', AWS_SECRET_ACCESS_KEY = 'k' } })
    fails 'the AWS keys cannot sign: they contain bytes that no key may have'
  end)

  it('finds faults of the file', function()
    for name, part in pairs {
      environment_id = 'credential_source.environment_id is not aws1',
      regional_cred_verification_url = 'credential_source.regional_cred_verification_url goes to http://10.0.0.1',
      region_url = 'credential_source.region_url goes to http://10.0.0.1',
        url = 'credential_source.url goes to http://10.0.0.1',
      imdsv2_session_token_url = 'credential_source.imdsv2_session_token_url goes to http://10.0.0.1',
    } do
      local info = info_of 'external_aws'
      info.credential_source[name] = 'http://10.0.0.1/'
      wrong(info, part)
    end
    local info = info_of 'external_aws'
    info.credential_source.environment_id = 'aws2'
    wrong(info, 'is not aws1, the one form that is supported')
    info.credential_source.environment_id, info.credential_source.regional_cred_verification_url = 'aws1', nil
    wrong(info, 'credential_source.regional_cred_verification_url is missing')
  end)
end)
