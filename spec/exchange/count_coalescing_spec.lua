-- SPDX-License-Identifier: Apache-2.0
-- Token counts that many ask for at once, or again.
local metrics = require 'ccrelay.log.metrics'
local stage = require 'support.stage'

local ANSWER = '{"input_tokens":42,"more":[1]}'

local function new(reply, options)
  local self = stage.new(options)
  self:reply('one', reply or { status = 200, body = ANSWER, after = 100 })
  return self
end

local function question(at, more)
  local request = { at = at or 0, path = '/v1/messages/count_tokens?beta=true', body = {} }
  for name, value in pairs(more or {}) do request[name] = value end
  return request
end

local function asked(list)
  local count = 0
  for _, exchange in ipairs(list) do count = count + #exchange.tries end
  return count
end

local function burst(self, count, more)
  local list = {}
  for index = 1, count do list[index] = question(index, more) end
  return { self:requests(unpack(list)) }
end

describe('the same question', function()
  it('in a burst is asked once', function()
    local list = burst(new(), 25)
    assert.equal(1, asked(list))
    for index, exchange in ipairs(list) do
      assert.equal(200, exchange.answer.status)
      assert.equal(ANSWER, exchange.answer.body)
      assert.equal('application/json', index == 1 and 'application/json' or exchange.answer.headers['content-type'])
      assert.equal(index > 1 and 'true' or nil, exchange.answer.headers['x-ccrelay-shared'])
    end
    assert.truthy(list[2].answer.headers['request-id'] ~= list[3].answer.headers['request-id'])
    assert.equal(24, metrics.counters().shared_counts)
  end)

  it('is asked again after 10 s', function()
    local self = new()
    local _, exchange = self:request(question())
    assert.equal(1, #exchange.tries)
    stage.advance(9000)
    assert.equal(0, asked(burst(self, 1)))
    stage.advance(1500)
    assert.equal(1, asked(burst(self, 1)))
  end)

  it('takes the answer of an adapter that reads another shape', function()
    local self = stage.new { providers = { { name = 'one', type = 'bedrock', base_url = 'http://one.test',
      aws_region = 'us-east-1', aws_access_key_id = 'A', aws_secret_access_key = 'S' } } }
    self:reply('one', { status = 200, body = '{"inputTokens":7}', after = 50 })
    local list = burst(self, 3)
    assert.equal(1, asked(list))
    for _, exchange in ipairs(list) do assert.equal('{"input_tokens":7}', exchange.answer.body) end
  end)

  it('is estimated for all where the provider does not count', function()
    local list = burst(new { status = 404, body = 'no', after = 50 }, 5)
    assert.equal(1, asked(list))
    for _, exchange in ipairs(list) do
      assert.equal('true', exchange.answer.headers['x-ccrelay-estimated'])
      assert.equal(list[1].answer.body, exchange.answer.body)
    end
  end)

  for what, reply in pairs {
    ['an error'] = { status = 429, body = '{"type":"error","error":{"type":"rate_limit_error","message":"m"}}' },
    ['no count'] = { status = 200, body = '{"hello":1}' }, ['no JSON'] = { status = 200, body = '{"input_tokens":4' },
    ['too long an answer'] = { status = 200, body = '{"input_tokens":4,"x":"' .. ('x'):rep(5000) .. '"}' },
  } do
    it('is asked by each when the first got ' .. what, function()
      reply.after = 100
      local self = new(reply)
      local list = burst(self, 4)
      assert.equal(4, asked(list))
      assert.same({ entries = {}, count = 0 }, self.current.counts)
      for _, exchange in ipairs(list) do assert.equal(reply.status, exchange.answer.status) end
    end)
  end

  it('is asked by the others when the first one leaves', function()
    local self = new()
    local first, second = self:requests(question(0, { gone_after = 20 }), question(5))
    assert.equal(1, #first.tries)
    assert.equal(1, #second.tries)
    assert.equal(ANSWER, second.answer.body)
  end)

  it('is forgotten by one that leaves', function()
    local self = new()
    local _, second, third = self:requests(question(), question(5, { gone_after = 10 }), question(6))
    assert.is_nil(second.answer)
    assert.equal(ANSWER, third.answer.body)
    assert.equal(0, #third.tries)
  end)

  it('is another in another generation', function()
    local self = new()
    self:request(question())
    self:use {}
    assert.equal(1, asked(burst(self, 1)))
  end)
end)

describe('another question', function()
  local function differs(first, second, options)
    local self = new(nil, options)
    local list = { self:requests(question(0, first), question(1, second)) }
    assert.equal(2, asked(list))
    for _, exchange in ipairs(list) do assert.equal(200, exchange.answer.status) end
  end

  it('is one of other bytes', function() differs({ body = { system = 'a' } }, { body = { system = 'b' } }) end)
  it('is one with other betas', function()
    differs({ headers = { ['anthropic-beta'] = 'a' } }, { headers = { ['anthropic-beta'] = 'b' } })
  end)
  it('is one of another version', function()
    differs({ headers = { ['anthropic-version'] = 'a' } }, { headers = { ['anthropic-version'] = 'b' } })
  end)
  it('is one with another query', function() differs({}, { path = '/v1/messages/count_tokens' }) end)

  it('is one of another client', function()
    differs({ headers = { ['x-api-key'] = 'a' } }, { headers = { ['x-api-key'] = 'b' } }, { server = {
      auth = { clients = { { name = 'alice', key = 'a' }, { name = 'bob', key = 'b' } } } } })
  end)

  it('is one of another key without a name', function()
    differs({ headers = { ['x-api-key'] = 'a' } }, { headers = { ['x-api-key'] = 'b' } },
      { server = { auth = { api_key = { 'a', 'b' } } } })
  end)

  it('is one with another credential that is passed on', function()
    differs({ headers = { authorization = 'Bearer a' } }, { headers = { authorization = 'Bearer b' } })
    differs({ headers = { authorization = 'Bearer a' } }, {})
  end)

  it('is one that goes to another provider', function()
    local self = stage.new { providers = {
      { name = 'one', type = 'anthropic', keys = { { key = 'sk-1' } }, models = { 'm1' } },
      { name = 'two', type = 'zai', keys = { { key = 'sk-2' } }, models = { 'm2' } },
    } }
    self:reply('one', { status = 200, body = '{"input_tokens":1}' })
    self:reply('two', { status = 200, body = '{"input_tokens":2}' })
    local list = { self:requests(question(0, { body = { model = 'm1' } }), question(1, { body = { model = 'm2' } })) }
    assert.equal('{"input_tokens":1}', list[1].answer.body)
    assert.equal('{"input_tokens":2}', list[2].answer.body)
  end)
end)

it('256 answers are kept, the latest', function()
  local self = new { status = 200, body = ANSWER }
  for index = 1, 300 do self:request(question(0, { body = { max_tokens = index } })) end
  assert.equal(256, self.current.counts.count)
  local count = 0
  for _ in pairs(self.current.counts.entries) do count = count + 1 end
  assert.equal(256, count)
  local _, exchange = self:request(question(0, { body = { max_tokens = 300 } }))
  assert.equal(0, #exchange.tries)
  _, exchange = self:request(question(0, { body = { max_tokens = 1 } }))
  assert.equal(1, #exchange.tries)
end)

it('more questions under way than are kept are all answered', function()
  local self, list = new(), {}
  for index = 1, 300 do list[index] = question(0, { body = { max_tokens = index } }) end
  list = { self:requests(unpack(list)) }
  for _, exchange in ipairs(list) do assert.equal(ANSWER, exchange.answer.body) end
  assert.equal(256, self.current.counts.count)
end)

it('what is large is asked each time', function()
  local self = new()
  assert.equal(2, asked(burst(self, 2, { body = { system = ('x'):rep(300 * 1024) } })))
end)
