-- SPDX-License-Identifier: Apache-2.0
-- ccrelay test policies/tests/model_based_test.lua
local testing = require 'ccrelay.testing'

describe('model_based', function()
  local function stage()
    return testing.stage { policy = '../model_based.lua',
      providers = { { name = 'a' }, { name = 'b' }, { name = 'c' } },
      routing = { model_mapping = { claude = 'a', ['claude-opus'] = 'b' }, default_provider = 'c' } }
  end

  local function ask(self, model)
    return self:request { body = { model = model } }.tried
  end

  it('chooses the provider by the longest prefix of the model', function()
    local self = stage()
    assert.same({ 'a/1' }, ask(self, 'claude-haiku-4-5'))
    assert.same({ 'b/1' }, ask(self, 'claude-opus-4-5'))
    assert.same({ 'c/1' }, ask(self, 'GLM-4.7'))
  end)

  it('tries no other provider when that one fails', function()
    local self = stage()
    self:reply('b', { status = 529 })
    assert.same({ 'b/1' }, ask(self, 'claude-opus-4-5'))
  end)
end)
