-- SPDX-License-Identifier: Apache-2.0
-- What a new batch counts for.
local stage = require 'support.stage'

local KEYS = { { key = 'sk-1', rpm_limit = 4 } }
local CLIENTS = { clients = { { name = 'alice', key = 'k', rpm_limit = 3 }, { name = 'bob', key = 'b' } } }

local function new(keys, auth, transparent)
  stage.C.cc_limits_clear()
  return stage.new { server = { auth = auth },
    providers = { { name = 'a', type = 'anthropic', keys = keys, transparent = transparent } } }
end

local function batch(self, count, key, more)
  local items = {}
  for index = 1, count do items[index] = '{"custom_id":"x"}' end
  local request = { path = '/v1/messages/batches', body = '{"requests":[' .. table.concat(items, ',') .. ']}',
    headers = { ['x-api-key'] = key } }
  for name, value in pairs(more or {}) do request[name] = value end
  return self:request(request)
end

describe('a new batch', function()
  it('counts each request for its client and its key', function()
    local self = new(KEYS, CLIENTS)
    self:reply('a', { status = 200, body = '{"id":"b"}' })
    assert.equal(200, batch(self, 2, 'k').status)
    local answer = batch(self, 2, 'k')
    assert.equal(429, answer.status)
    assert.equal('60', answer.headers['retry-after'])
    assert.is_truthy(answer.json.error.message:find('a batch of 2 requests is more than what is left of the 3 a minute '
      .. '(rpm_limit) of client "alice"', 1, true))
    assert.equal(429, batch(self, 3, 'b').status)
    assert.equal(200, batch(self, 2, 'b').status)
    answer = self:request { headers = { ['x-api-key'] = 'b' } }
    assert.equal(429, answer.status)
  end)

  it('that finds no room counts for nothing', function()
    local self = new(KEYS, CLIENTS)
    self:reply('a', { status = 200, body = '{"id":"b"}' })
    assert.equal(200, batch(self, 3, 'b').status)
    assert.equal(429, batch(self, 3, 'k').status) -- the client has room, the key has not
    assert.equal(200, batch(self, 1, 'k').status)
  end)

  it('of more requests than the limit has is refused for good', function()
    local self = new(KEYS, CLIENTS)
    for key, whose in pairs { k = 'client "alice"', b = 'the key a/1' } do
      local answer, exchange = batch(self, 5, key)
      assert.equal(413, answer.status)
      assert.equal('request_too_large', answer.json.error.type)
      assert.equal('false', answer.headers['x-should-retry'])
      assert.is_truthy(answer.json.error.message:find(whose, 1, true))
      assert.same({}, exchange.tries)
    end
  end)

  it('that is not sent counts for nothing, one that was sent counts', function()
    local self = new(KEYS)
    self:reply('a', { error = 'CC_EREFUSED' }, { error = 'CC_EREFUSED' }, { error = 'CC_ERESET' })
    for _ = 1, 3 do assert.equal(502, batch(self, 4).status) end
    assert.equal(429, batch(self, 1).status)
  end)

  it('has no bound without limits, or with the client\'s own credential', function()
    local self = new({ { key = 'sk-1', tpm_limit = 10 } })
    self:reply('a', { status = 200, body = '{"id":"b"}' })
    for _ = 1, 9 do assert.equal(200, batch(self, 9).status) end
    self = new(KEYS, nil, true)
    self:reply('a', { status = 200, body = '{"id":"b"}' })
    for _ = 1, 9 do assert.equal(200, batch(self, 9, 'theirs').status) end
  end)

  it('is a JSON object in an encoding that is known', function()
    local self = new(KEYS)
    for _, body in ipairs { 'x', '[]', '{"requests":[}' } do
      local answer, exchange = batch(self, 0, nil, { body = body })
      assert.equal(400, answer.status)
      assert.same({}, exchange.tries)
    end
    assert.equal(415, batch(self, 1, nil, { headers = { ['content-encoding'] = 'compress' } }).status)
  end)

  it('is nothing else below batches', function()
    local self = new { { key = 'sk-1', rpm_limit = 1 } }
    self:reply('a', { status = 200, body = '{"id":"b"}' })
    for _ = 1, 3 do
      assert.equal(200, batch(self, 9, nil, { path = '/v1/messages/batches/b/cancel', body = '' }).status)
      assert.equal(200, batch(self, 9, nil, { method = 'GET' }).status)
    end
  end)
end)
