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
end)
