-- SPDX-License-Identifier: Apache-2.0
-- Faults of an account told as 400, and pages of a firewall told as 403.
local stage = require 'support.stage'

local function shaped(message)
  return '{"type":"error","error":{"type":"invalid_request_error","message":"' .. message .. '"}}'
end

local function two(first)
  local providers = {
    { name = 'a', type = 'anthropic', keys = { { key = 'sk-a', priority = 2 } } },
    { name = 'b', type = 'anthropic', keys = { { key = 'sk-b', priority = 1 } } },
  }
  local self = stage.new { providers = providers }
  self:reply('a', first)
  self:reply('b', { status = 200, body = 'good' })
  return self
end

local function keys_used(self)
  local answer, exchange = self:request()
  local list = {}
  for index, attempt in ipairs(exchange.tries) do
    list[index] = attempt.headers['x-api-key']
  end
  return table.concat(list, ' '), answer
end

describe('a fault of the account reported as 400', function()
  for message, case in pairs {
    ['Your credit balance is too low to access the Anthropic API. Please go to Plans & Billing to upgrade or '
      .. 'purchase credits.'] = { 3600, 'credit balance is too low' },
    ['You have reached your specified API usage limits. You will regain access on 2026-12-01 at 00:00 UTC.'] =
      { 3600, 'usage limits are reached' },
    ['You have reached your specified workspace API usage limits.'] = { 3600, 'usage limits are reached' },
    ['This organization has been disabled.'] = { 600, 'organization has been disabled' },
  } do
    it('goes on to the next upstream and suspends the key: ' .. message:sub(1, 40), function()
      local self = two { status = 400, body = shaped(message) }
      assert.equal('sk-a sk-b', (keys_used(self)))
      assert.equal(1, self:count('reason="' .. case[2] .. '"'))
      assert.equal('sk-b', (keys_used(self)))
      stage.advance(case[1] * 1000 - 2000)
      assert.equal('sk-b', (keys_used(self)))
      stage.advance(4000)
      assert.equal('sk-a sk-b', (keys_used(self)))
    end)
  end

  it('is recognized in another shape', function()
    assert.equal('sk-a sk-b', (keys_used(two { status = 400,
      body = '{"error":{"code":1,"message":"Your credit balance is too low to access the Anthropic API."}}' })))
  end)

  it('is recognized as the first event of a stream', function()
    assert.equal('sk-a sk-b', (keys_used(two { error = 'CC_ESTREAM_ERROR', status = 200,
      body = 'event: error\ndata: ' .. shaped 'Your credit balance is too low to access it.' .. '\n\n' })))
  end)

  it('reaches the client unchanged if no other upstream can serve', function()
    local self, body = stage.new(), shaped 'Your credit balance is too low to access the Anthropic API.'
    self:reply('one', { status = 400, body = body })
    local answer = self:request()
    assert.same({ 400, body }, { answer.status, answer.body })
  end)

  it('of a client\'s own credential suspends no key of the relay', function()
    local body = shaped 'This organization has been disabled.'
    local self = stage.new { providers = {
      { name = 'a', type = 'anthropic', transparent = true, keys = { { key = 'sk-a' } } },
      { name = 'b', type = 'anthropic', transparent = true, keys = { { key = 'sk-b' } } },
    } }
    self:reply('a', { status = 400, body = body })
    self:reply('b', { status = 400, body = body })
    local answer = self:request { headers = { authorization = 'Bearer theirs' } }
    assert.same({ 400, body }, { answer.status, answer.body })
    assert.equal(0, self:count 'key suspended')
  end)
end)

describe('a fault of the request', function()
  for _, message in ipairs {
    'prompt is too long: 210000 tokens > 200000 maximum',
    'messages.0.content.0.text: Your credit balance is too low',
    'Your credit balance is too low: Extra inputs are not permitted',
    'Unexpected value(s) `your credit balance is too low` for the `anthropic-beta` header.',
    'This organization has been disabled.x: Extra inputs are not permitted',
  } do
    it('suspends no key: ' .. message, function()
      local self = two { status = 400, body = shaped(message) }
      local used, answer = keys_used(self)
      assert.equal('sk-a', used)
      assert.same({ 400, shaped(message) }, { answer.status, answer.body })
      assert.equal('sk-a', (keys_used(self)))
    end)
  end
end)

describe('a 403', function()
  local page = '<html><head><title>Request blocked</title></head></html>'

  it('that is a page of a firewall leads to the next upstream and suspends no key', function()
    for _, reply in ipairs {
      { status = 403, body = page, headers = { ['content-type'] = 'text/html' } },
      { status = 403, body = page },
      { status = 403, body = 'RBAC: access denied', headers = { ['content-type'] = 'text/plain' } },
    } do
      local self = two(reply)
      for _ = 1, 8 do assert.equal('sk-a sk-b', (keys_used(self))) end
    end
  end)

  it('of a firewall leads to the next upstream with a client\'s own credential too', function()
    local _, exchange = two { status = 403, body = page }:request { headers = { authorization = 'Bearer theirs' } }
    assert.equal(2, #exchange.tries)
  end)

  for what, reply in pairs {
    ['Anthropic'] = { body = '{"type":"error","error":{"type":"permission_error","message":"no"}}' },
    ['a cloud'] = { body = '{"message":"no"}' },
    ['somebody who says nothing'] = { body = '' },
    ['somebody whose body broke off'] = { body = '{"type":', headers = { ['content-type'] = 'application/json' } },
  } do
    it('of ' .. what .. ' suspends the key', function()
      reply.status = 403
      local self = two(reply)
      assert.equal('sk-a sk-b', (keys_used(self)))
      assert.equal('sk-b', (keys_used(self)))
    end)
  end
end)
