-- SPDX-License-Identifier: Apache-2.0
local stage = require 'support.aws_stage'
local json = require 'ccrelay.util.json'
local process = require 'ccrelay.credentials.aws.process'

local function run(result)
  local own = stage.new { program = function() return result end }
  return own, process.run(own.context, assert(process.plan([[/p --key "CANARY7f3a9d x" 'b']], 'a')))
end

local function printed(fields, status)
  local object = { Version = 1, AccessKeyId = 'AKIA', SecretAccessKey = stage.SECRET }
  for name, value in pairs(fields) do object[name] = value end
  return { status = status or 0, body = json.encode(object), complaint = '' }
end

describe('credential_process', function()
  it('is run without a shell, with a deadline', function()
    local own, value, expires = run(printed { SessionToken = 't', Expiration = stage.time(30) })
    assert.same({ access_key = 'AKIA', secret_key = stage.SECRET, session_token = 't',
      source = 'credential_process' }, value)
    assert.equal(stage.NOW + 30 * 60000, expires)
    assert.same({ arguments = { '/p', '--key', 'CANARY7f3a9d x', 'b' }, timeout_ms = 60000, answer_bytes = 65536 },
      own.runs[1])
  end)

  it('can print credentials without expiry and session token', function()
    local _, value, expires = run(printed { SessionToken = json.null, Expiration = json.null })
    assert.same({ 'AKIA', nil, nil }, { value.access_key, value.session_token, expires })
  end)

  for part, result in pairs {
    ['ended with status 3: sign in first'] = { status = 3, body = '', complaint = ' sign in\n first\n' },
    ['ended with status 1 and printed nothing'] = { status = 1, body = '', complaint = '' },
    ['token=[redacted]'] = { status = 1, body = '', complaint = 'bad token=CANARY7f3a9d' },
    ['did not print a JSON object'] = { status = 0, body = 'hello CANARY7f3a9d', complaint = '' },
    ['printed Version 2; "Version": 1 is what is understood'] = printed { Version = 2 },
    ['printed Version 1; "Version": 1'] = printed { Version = '1' },
    ['printed no Version'] = { status = 0, body = '{}', complaint = '' },
    ['AccessKeyId is missing'] = printed { AccessKeyId = '' },
      ['SecretAccessKey is not a string'] = printed { SecretAccessKey = 1 },
    ['SessionToken contains a blank'] = printed { SessionToken = 'a b' },
    ['Expiration is not a time'] = printed { Expiration = 'CANARY7f3a9d' },
    ['Expiration is not a time such as'] = printed { Expiration = 5 },
    ['printed credentials that have expired'] = printed { Expiration = stage.time(0) },
  } do
    it('fails: ' .. part, function()
      local _, value, more = run(result)
      local message = stage.message(value, more)
      assert.truthy(message:find(part, 1, true), message)
      assert.equal(1, message:find 'credential_process of the AWS profile "a" ')
    end)
  end

  it('fails when the program cannot be run', function()
    local own = stage.new {}
    assert.equal('credential_process of the AWS profile "a" failed: there is no such program',
      stage.message(process.run(own.context, assert(process.plan('/p', 'a')))))
  end)

  for text, part in pairs { ['/p "x'] = 'is not closed', ['  '] = 'it names no program',
    ['/p \0'] = 'it contains a NUL byte' } do
    it('is faulty: ' .. part, function()
      local message = stage.message(process.plan(text, 'a'))
      assert.truthy(message:find('credential_process of the AWS profile "a": ', 1, true))
      assert.truthy(message:find(part, 1, true))
    end)
  end

  it('has its error output cut', function()
    local _, value, more = run { status = 1, body = '', complaint = ('x'):rep(4000) }
    assert.is_true(#stage.message(value, more) < 700)
  end)
end)
