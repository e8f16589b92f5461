-- SPDX-License-Identifier: Apache-2.0
local stage = require 'support.aws_stage'
local container = require 'ccrelay.credentials.aws.container'
local json = require 'ccrelay.util.json'

local RELATIVE = { AWS_CONTAINER_CREDENTIALS_RELATIVE_URI = '/v2/x?id=1' }
local URL = 'http://169.254.170.2/v2/x?id=1'

local function good(fields)
  local object = { AccessKeyId = 'ASIA', SecretAccessKey = stage.SECRET, Token = 't', Expiration = stage.time(60) }
  for name, value in pairs(fields or {}) do object[name] = value end
  return { body = json.encode(object) }
end

local function machine(env, answers, files) return stage.new { env = env, answers = answers, files = files } end

local function fetch(own) return container.fetch(own.context) end

local function full(url, more)
  local env = { AWS_CONTAINER_CREDENTIALS_FULL_URI = url }
  for name, value in pairs(more or {}) do env[name] = value end
  return env
end

describe('the container endpoint', function()
  it('is asked without a proxy, for 2 s', function()
    local own = machine(RELATIVE, { ['GET ' .. URL] = good() })
    local value, expires = fetch(own)
    assert.same({ access_key = 'ASIA', secret_key = stage.SECRET, session_token = 't', source = 'the container' },
      value)
    assert.equal(stage.NOW + 3600000, expires)
    assert.same({ url = URL, headers = { accept = 'application/json' }, timeout_ms = 2000, direct = true },
      own.requests[1])
  end)

  it('is absent if no variable names it', function()
    assert.same({ nil, nil }, { fetch(machine { AWS_CONTAINER_CREDENTIALS_RELATIVE_URI = ' ' }) })
  end)

  it('is the relative address if both are set', function()
    local own = machine(full('http://evil.test/', RELATIVE), { ['GET ' .. URL] = good() })
    assert.equal('ASIA', fetch(own).access_key)
  end)

  for _, url in ipairs {
    'http://127.0.0.1:8080/x?y=z', 'http://127.9.9.9/', 'http://localhost/x', 'http://[::1]:1/x',
      'http://169.254.170.2/',
    'http://169.254.170.23/v1/credentials', 'http://[fd00:ec2::23]/v1', 'http://[fd00:0ec2:0::0:23]/v1',
      'https://any.test/x',
  } do
    it('can be ' .. url, function()
      local own = machine(full(url), { ['GET ' .. url] = good() })
      assert.equal('ASIA', fetch(own).access_key)
    end)
  end

  for _, url in ipairs {
    'http://evil.test/', 'http://169.254.169.254/', 'http://10.0.0.1/', 'http://169.254.170.24/',
      'http://[fd00:ec2::24]/',
    'http://127.0.0.1.evil.test/', 'http://localhost.evil.test/', 'http://localhost@evil.test/', 'http://0.0.0.0/',
    'http://127.0.0.1#.evil.test/', 'ftp://127.0.0.1/', 'http://127.0.0.1/a b', 'http://2130706433/', '/x',
  } do
    it('cannot be ' .. url, function()
      local own = machine(full(url), { ['GET ' .. url] = good() })
      assert.truthy(stage.message(fetch(own)):find('AWS_CONTAINER_CREDENTIALS_FULL_URI', 1, true))
      assert.equal(0, #own.requests)
    end)
  end

  for _, path in ipairs { 'x', '//evil.test/', '@evil.test/', '.evil.test/', '/a b', '/a#b' } do
    it('cannot have the path ' .. path, function()
      local message = stage.message(fetch(machine { AWS_CONTAINER_CREDENTIALS_RELATIVE_URI = path }))
      assert.truthy(message:find('must be a path that begins with one "/"', 1, true))
    end)
  end

  it('gets the token, from the file before the variable, read each time', function()
    local own = machine(full('http://127.0.0.1/', {
      AWS_CONTAINER_AUTHORIZATION_TOKEN = 'variable', AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE = '/t',
    }), { ['GET http://127.0.0.1/'] = good() }, { ['/t'] = 'one' })
    fetch(own)
    own.files['/t'] = 'two'
    fetch(own)
    own.env.AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE = ' '
    fetch(own)
    local seen = {}
    for index, request in ipairs(own.requests) do seen[index] = request.headers.authorization end
    assert.same({ 'one', 'two', 'variable' }, seen)
  end)

  for what, more in pairs {
    ['AWS_CONTAINER_AUTHORIZATION_TOKEN contains a line break'] = {
      AWS_CONTAINER_AUTHORIZATION_TOKEN = 'CANARY7f3a9d\r\nx: y' },
    ['/t contains a line break'] = { AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE = '/t' },
    ['/u cannot be read: there is no such file'] = { AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE = '/u' },
  } do
    it('is not asked: ' .. what, function()
      local own = machine(full('http://127.0.0.1/', more), {}, { ['/t'] = 'CANARY7f3a9d\n' })
      local message = stage.message(fetch(own))
      assert.truthy(message:find(what, 1, true), message)
      assert.equal(0, #own.requests)
    end)
  end

  for _, bad in ipairs { 'timeout', { status = 500 }, { status = 429 }, { body = '<html>' },
    good { Expiration = stage.time(-1) } } do
    it('is asked at most three times', function()
      local own = machine(RELATIVE, { ['GET ' .. URL] = { bad, bad, good() } })
      assert.equal('ASIA', fetch(own).access_key)
      assert.same({ 1000, 1000 }, own.sleeps)
      own = machine(RELATIVE, { ['GET ' .. URL] = bad })
      assert.equal(1, stage.message(fetch(own)):find 'the container endpoint http://169.254.170.2/v2/x ')
      assert.same({ 3, 2 }, { #own.requests, #own.sleeps })
    end)
  end

  for part, answer in pairs {
    ['answered status 403: not yours'] = { status = 403, body = '{"message":"not yours"}' },
    ['answered status 400: no role'] = { status = 400, body = '{"Message":"no role"}' },
    ['answered status 302'] = { status = 302 },
    ['AccessKeyId is missing'] = good { AccessKeyId = json.null },
    ['Token contains a blank'] = good { Token = 'CANARY7f3a9d\n\rx y' },
    ['Expiration is not a time'] = good { Expiration = 'soon' },
  } do
    it('fails at once: ' .. part, function()
      local own = machine(RELATIVE, { ['GET ' .. URL] = answer })
      assert.truthy(stage.message(fetch(own)):find(part, 1, true))
      assert.equal(1, #own.requests)
    end)
  end
end)
