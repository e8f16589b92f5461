-- SPDX-License-Identifier: Apache-2.0
-- Where a credentials file may send what it holds.
local guard = require 'ccrelay.credentials.google.guard'

local function each(list, check, want)
  for _, url in ipairs(list) do
    local message = check(url)
    assert.equal(want, message == nil, url)
    if message then assert.is_nil(message:find('hunter2', 1, true), message) end
  end
end

describe('ccrelay.credentials.google.guard', function()
  local LOOPBACK = { 'http://127.0.0.1:8080/x', 'http://localhost/x', 'http://[::1]:9/x', 'https://127.9.9.9/x' }
  local NOWHERE = {
    'ftp://sts.googleapis.com/x', 'sts.googleapis.com', '', 'https://', 'https://user:hunter2@sts.googleapis.com/',
    'https://sts.googleapis.com#hunter2', 'https://sts.googleapis.com /', 'https://sts.googleapis.com\n', 5, {},
    'http://127.0.0.1@evil.example/hunter2',
  }

  it('allows requests for tokens to Google and to this machine', function()
    local function check(url) return guard.token('token_uri', url) end
    each({
      'https://oauth2.googleapis.com/token', 'https://OAUTH2.googleapis.com/token',
        'https://oauth2.mtls.googleapis.com/token',
      'https://accounts.google.com/o/oauth2/token', 'https://www.googleapis.com/oauth2/v4/token',
    }, check, true)
    each(LOOPBACK, check, true)
    each({
      'http://oauth2.googleapis.com/token', 'https://oauth2.googleapis.com.evil.example/', 'https://evil.example/',
      'https://oauth2-googleapis.com/', 'https://xoauth2.googleapis.com/', 'https://storage.googleapis.com/',
      'http://10.0.0.1/token', 'https://10.0.0.1/token', 'http://169.254.169.254/', 'http://2130706433/',
    }, check, false)
    for _, url in ipairs(NOWHERE) do assert.is_string(check(url)) end
  end)

  it('knows the hosts of a service', function()
    for _, service in ipairs { 'sts', 'iamcredentials' } do
      local function check(host)
        return function(url) return guard.service('u', url:gsub('HOST', host:gsub('S', service)), service) end
      end
      for _, host in ipairs {
        'S.googleapis.com', 'S.us-east-1.googleapis.com', 'us-east-1.S.googleapis.com', 'us-east-1-S.googleapis.com',
        'S-name.p.googleapis.com', 'S.us-east1.rep.googleapis.com', 'S.mtls.googleapis.com',
      } do
        each({ 'https://HOST/v1/token', 'https://HOST' }, check(host), true)
        each({ 'http://HOST/v1/token' }, check(host), false)
      end
      for _, host in ipairs {
        'Sgoogleapis.com', 'S.googleapis.com.evil.example', 'S.googleapis.evil.com', 'evil.example',
          'xS.googleapis.com',
        'a.b.S.googleapis.com', 'S.a.b.googleapis.com', 'S.evil.com', 'Sxgoogleapis.com', 'S-a.b.p.googleapis.com',
        'other.googleapis.com', '10.0.0.1', 'S.googleapis.com.',
      } do
        each({ 'https://HOST/v1/token' }, check(host), false)
      end
    end
    each(LOOPBACK, function(url) return guard.service('u', url, 'sts') end, true)
    for _, url in ipairs(NOWHERE) do assert.is_string(guard.service('u', url, 'sts')) end
  end)

  it('allows subject tokens from https, this machine or a link-local metadata address', function()
    local function check(url) return guard.subject('url', url) end
    each({
      'https://tokens.example/a?b=c', 'https://10.0.0.1/', 'http://169.254.169.254/metadata?x=y', 'http://[fe80::1]/',
      'http://[fd00:ec2::254]/latest/api/token', 'http://127.0.0.1:5000/token',
    }, check, true)
    each({
      'http://tokens.example/', 'http://10.0.0.1/', 'http://192.168.0.1/', 'http://169.253.0.1/',
        'http://[fd00:ec2::255]/',
      'http://[2001:db8::1]/', 'http://169.254.169.254.evil.example/',
    }, check, false)
  end)

  it('allows signed requests only to AWS\'s Security Token Service', function()
    local function check(url) return guard.aws('url', url) end
    each({
      'https://sts.us-east-1.amazonaws.com?Action=GetCallerIdentity', 'https://sts.amazonaws.com/',
      'https://sts.cn-north-1.amazonaws.com.cn/', 'http://127.0.0.1:1/',
    }, check, true)
    each({
      'http://sts.us-east-1.amazonaws.com/', 'https://s3.us-east-1.amazonaws.com/', 'https://sts.evil.example/',
      'https://sts.us-east-1.amazonaws.com.evil.example/',
    }, check, false)
  end)

  it('says what is allowed', function()
    assert.equal('token_url goes to http://sts.evil.example, which is refused: it must be https to '
      .. 'sts.googleapis.com or one '
      .. 'of its regional hosts', guard.service('token_url', 'http://sts.evil.example/a?token=hunter2', 'sts'))
    assert.equal('u is not an http or https address', guard.token('u', 'https://user:hunter2@oauth2.googleapis.com/'))
  end)
end)
