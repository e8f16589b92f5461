-- SPDX-License-Identifier: Apache-2.0
local stage = require 'support.stage'
local start_lines = require 'ccrelay.process.start_lines'

local function lines(options, listens)
  return start_lines.of(assert(stage.build(options)), listens or { '127.0.0.1:8787' })
end

local function providers()
  return {
    { name = 'late', type = 'zai', keys = { { key = 'k', priority = 1 } }, model_mapping = {
      ['claude-sonnet-4-5'] = 'GLM-4.7' } },
    { name = 'first', type = 'anthropic', keys = { { key = 'k', priority = 2 }, { key = 'l', priority = 2 } } },
    { name = 'empty', type = 'anthropic', transparent = false, keys = {} },
    { name = 'other', type = 'anthropic', keys = { { key = 'k' } }, serves = { 'gpt-*' } },
    { name = 'off', type = 'anthropic', enabled = false },
  }
end

describe('the lines at the start', function()
  it('name the providers that are tried, in order, those that are not and why, and the command to use', function()
    assert.same({
      'tried for claude-sonnet-4-5, in this order: first, late (as GLM-4.7)',
      'not tried for claude-sonnet-4-5: empty (no key), other (does not serve it), off (enabled: false)',
      'to use it: ANTHROPIC_BASE_URL=http://127.0.0.1:8787 claude',
    }, lines { providers = providers() })
  end)

  it('say that no provider is tried', function()
    local list = { { name = 'other', type = 'anthropic', keys = { { key = 'k' } }, serves = { 'gpt-*' } } }
    assert.equal('tried for claude-sonnet-4-5, in this order: none', lines({ providers = list })[1])
  end)

  for where, url in pairs {
    ['0.0.0.0:80'] = 'http://127.0.0.1:80', ['[::]:80'] = 'http://[::1]:80', ['[::1]:81'] = 'http://[::1]:81',
  } do
    it('name an address that can be connected to, for ' .. where, function()
      local list = lines({}, { where })
      assert.equal('to use it: ANTHROPIC_BASE_URL=' .. url .. ' claude', list[#list])
    end)
  end

  it('name no address for a Unix socket', function()
    assert.same({ 'tried for claude-sonnet-4-5, in this order: one' }, lines({}, { 'unix:/run/ccrelay.sock' }))
  end)

  it('say that a key is needed, without the key', function()
    local list = lines { server = { auth = { api_key = 'CANARY-own' } } }
    assert.equal('to use it: ANTHROPIC_BASE_URL=http://127.0.0.1:8787 claude, '
      .. 'with a key of server.auth in ANTHROPIC_AUTH_TOKEN', list[#list])
  end)
end)
