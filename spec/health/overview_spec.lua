-- SPDX-License-Identifier: Apache-2.0
local stage = require 'support.stage'

describe('overview.describe', function()
  it('shows the state of every key, and no secrets', function()
    local self = stage.new { providers = { { name = 'a', type = 'anthropic',
      models = { 'claude-*' }, keys = { { key = 'CANARY-1', priority = 3 } } },
      { name = 'o', type = 'ollama', models = { 'claude-*' }, keys = {} } } }
    self:reply('a', { status = 429, headers = { ['retry-after'] = '60' }, body = '{}' })
    self:request()
    local list = require('ccrelay.health.overview').describe(self.current)
    assert.equal('limited', list[1].keys[1].state)
    assert.equal(59999, list[1].keys[1].ready_in_ms)
    assert.equal('a/1', list[1].keys[1].id)
    assert.equal('o', list[2].keys[1].id)
    assert.is_nil(require('ccrelay.util.json').encode(list):find 'CANARY')
  end)

  it('shows what is left of learned limits by class of models', function()
    local self = stage.new { providers = { { name = 'a', type = 'anthropic', keys = { { key = 'k' } } } } }
    self:reply('a', { status = 200, body = '{}', headers = {
      ['anthropic-ratelimit-requests-limit'] = '50', ['anthropic-ratelimit-requests-remaining'] = '10',
      ['anthropic-ratelimit-requests-reset'] = '2100-01-01T00:00:00Z',
    } })
    self:request()
    local key = require('ccrelay.health.overview').describe(self.current)[1].keys[1]
    assert.equal(1, key.headroom)
    assert.is_true(key.class_headroom.sonnet < 0.25)
    assert.is_nil(key.class_headroom.opus)
  end)
end)
