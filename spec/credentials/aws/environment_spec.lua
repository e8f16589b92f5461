-- SPDX-License-Identifier: Apache-2.0
local stage = require 'support.aws_stage'
local environment = require 'ccrelay.credentials.aws.environment'

local function fetch(env) return environment.fetch(stage.new({ env = env }).context) end

describe('credentials in the environment', function()
  it('are a key pair', function()
    assert.same({ access_key = 'AKIA', secret_key = stage.SECRET, source = 'the environment' },
      fetch { AWS_ACCESS_KEY_ID = 'AKIA', AWS_SECRET_ACCESS_KEY = stage.SECRET, AWS_SESSION_TOKEN = ' ' })
  end)

  it('can have a session token, and blanks around them', function()
    local value, expires = fetch {
      AWS_ACCESS_KEY_ID = ' AKIA\n', AWS_SECRET_ACCESS_KEY = stage.SECRET .. ' ', AWS_SESSION_TOKEN = 't',
    }
    assert.same({ 'AKIA', stage.SECRET, 't' }, { value.access_key, value.secret_key, value.session_token })
    assert.is_nil(expires)
  end)

  it('are absent if unset or blank', function()
    assert.same({ nil, nil }, { fetch {} })
    assert.same({ nil, nil }, { fetch { AWS_ACCESS_KEY_ID = ' ', AWS_SECRET_ACCESS_KEY = '' } })
    assert.same({ nil, nil }, { fetch { AWS_SESSION_TOKEN = 'x' } })
  end)

  for missing, present in pairs {
    AWS_SECRET_ACCESS_KEY = 'AWS_ACCESS_KEY_ID', AWS_ACCESS_KEY_ID = 'AWS_SECRET_ACCESS_KEY',
  } do
    it('are faulty without ' .. missing, function()
      local message = stage.message(fetch { [present] = stage.SECRET, [missing] = '  ' })
      assert.truthy(message:find(missing .. ' is missing in the environment', 1, true))
    end)
  end

  it('are faulty with a line break inside', function()
    local message = stage.message(fetch { AWS_ACCESS_KEY_ID = 'AKIA', AWS_SECRET_ACCESS_KEY = stage.SECRET .. '\nx' })
    assert.truthy(message:find('AWS_SECRET_ACCESS_KEY contains a blank, a line break', 1, true))
  end)
end)

describe('the bearer token of the environment', function()
  local function bearer(text)
    return environment.bearer(stage.new({ env = { AWS_BEARER_TOKEN_BEDROCK = text } }).context)
  end

  it('is taken', function()
    assert.same({ bearer = stage.SECRET, source = 'AWS_BEARER_TOKEN_BEDROCK' }, bearer(stage.SECRET .. '\n'))
  end)

  it('is absent if blank', function() assert.same({ nil, nil }, { bearer ' ' }) end)

  it('is faulty with a line break inside', function()
    assert.truthy(stage.message(bearer(stage.SECRET .. '\r\nx')):find('AWS_BEARER_TOKEN_BEDROCK contains', 1, true))
  end)
end)
