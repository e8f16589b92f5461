-- SPDX-License-Identifier: Apache-2.0
local redact = require 'ccrelay.log.redact'

describe('the redaction of secrets', function()
  for text, expected in pairs {
    ['key sk-ant-api03-abc_DEF is bad'] = 'key [redacted] is bad', ['Bearer abc.def'] = 'Bearer [redacted]',
    ['authorization: bearer   XYZ'] = 'authorization: bearer   [redacted]',
      ['?token=abc&x=1'] = '?token=[redacted]&x=1',
    ['api_key=abc'] = 'api_key=[redacted]', ['client_secret=abc'] = 'client_secret=[redacted]',
      ['nothing here'] = 'nothing here',
  } do
    it('makes "' .. expected .. '"', function() assert.equal(expected, redact.looks(text)) end)
  end

  it('removes the secrets of the configuration anywhere in a text', function()
    local clean = redact.new {
      server = { auth = { api_key = { 'horse-battery' }, clients = { { name = 'alice-the-client',
        key = 'alice-secret' } },
        bearer_secret = 'bearer-word' } },
      providers = { { name = 'provider-name', keys = { { key = 'provider-key' } },
        aws_secret_access_key = 'aws/secret+',
        aws_session_token = 'session-token' } }, admin = { token = 'admin-token' },
      traces = { headers = { ['x-team'] = 'Bearer team-header' } },
    }
    for _, secret in ipairs {
      'horse-battery', 'alice-secret', 'bearer-word', 'provider-key', 'aws/secret+', 'session-token', 'admin-token',
      'team-header',
    } do
      assert.equal('a [redacted] b [redacted]', clean('a ' .. secret .. ' b ' .. secret))
    end
    assert.equal('provider-name alice-the-client', clean 'provider-name alice-the-client')
  end)

  it('removes the longer of two secrets that begin alike', function()
    local clean = redact.new { providers = { { keys = { { key = 'same-start' }, { key = 'same-start-and-more' } } } } }
    assert.equal('[redacted]', clean 'same-start-and-more')
  end)
end)
