-- SPDX-License-Identifier: Apache-2.0
-- ccrelay test examples/own_policy/policy_test.lua
local testing = require 'ccrelay.testing'

local function stage()
  return testing.stage { policy = 'policy.lua', providers = {
    { name = 'anthropic', keys = { { key = 'a', priority = 1 } } },
    { name = 'zai', keys = { { key = 'z', priority = 2 } } },
  } }
end

local function of(model) return { body = { model = model } } end

it('sends Opus to Anthropic and everything else to Z.AI first', function()
  assert.equal('anthropic', stage():request(of 'claude-opus-4-5').provider)
  assert.equal('zai', stage():request(of 'claude-sonnet-4-5').provider)
end)

it('gives Sonnet to Anthropic when Z.AI fails, but never Opus to Z.AI', function()
  local self = stage()
  self:reply('zai', { status = 500 })
  assert.same({ 'zai/1', 'anthropic/1' }, self:request(of 'claude-sonnet-4-5').tried)
  self = stage()
  self:reply('anthropic', { status = 500 })
  assert.same({ 'anthropic/1' }, self:request(of 'claude-opus-4-5').tried)
end)
