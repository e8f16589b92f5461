-- SPDX-License-Identifier: Apache-2.0
-- Bytes per token, as providers count.
local stage = require 'support.stage'
local token_estimate = require 'ccrelay.limits.token_estimate'

local POLICY = [[local relay = require 'ccrelay'
return function(exchange)
  relay.log('estimate ' .. exchange.tokens_estimate .. ' of ' .. exchange.body_bytes)
  return exchange:first(relay.upstreams(exchange))
end]]

local function estimates(self, body)
  self:request { body = body }
  local estimate, bytes
  for _, line in ipairs(self.lines) do
    if line:find 'estimate ' then estimate, bytes = line:match 'estimate (%d+) of (%d+)' end
  end
  return tonumber(estimate), tonumber(bytes)
end

local LONG = { messages = { { role = 'user', content = ('word '):rep(400) } } }

it('bytes per token are 4 until something is known', function()
  local estimate, bytes = estimates(stage.new { policy = POLICY }, LONG)
  assert.equal(math.ceil(bytes / 4), estimate)
end)

it('bytes per token follow what the provider counted, cached or not', function()
  local self = stage.new { policy = POLICY }
  self:reply('one', { usage = { input = 100, cache_read = 700, cache_5m = 100, cache_1h = 100, output = 5 } })
  estimates(self, LONG)
  local estimate = estimates(self, LONG)
  assert.equal(1000, estimate)
end)

it('bytes per token follow a change gradually', function()
  stage.new {}
  token_estimate.learn('m', 4000, 1000)
  token_estimate.learn('m', 8000, 1000)
  assert.equal(4.5, token_estimate.bytes_per_token 'm')
  for _ = 1, 60 do token_estimate.learn('m', 8000, 1000) end
  assert.is_true(token_estimate.bytes_per_token 'm' > 7.9)
end)

it('bytes per token are not learned from tiny requests, and stay within bounds', function()
  stage.new {}
  token_estimate.learn('m', 4000, 10)
  assert.equal(4, token_estimate.bytes_per_token 'm')
  token_estimate.learn('m', 4e6, 60)
  assert.equal(12, token_estimate.bytes_per_token 'm')
end)

it('bytes per token are learned for each model', function()
  stage.new {}
  token_estimate.learn('one', 2000, 1000)
  assert.equal(2, token_estimate.bytes_per_token 'one')
  assert.equal(4, token_estimate.bytes_per_token 'another')
end)
