-- SPDX-License-Identifier: Apache-2.0
-- Health orders candidates; it leaves one out only while a healthy one remains.
local stage = require 'support.stage'
local health = require 'ccrelay.health'
local overview = require 'ccrelay.health.overview'

local BAD = { status = 500, body = '{"message":"no"}' }
local OVERLOADED = { status = 529, body = '{"type":"error","error":{"type":"overloaded_error","message":"o"}}' }
local GOOD = { status = 200 }
local RULES = { failure_threshold = 3, open_duration_ms = 30000, half_open_probes = 1 }

local function provider(name, priority, more)
  local settings = { name = name, type = 'anthropic', keys = { { key = 'sk-' .. name, priority = priority } } }
  for key, value in pairs(more or {}) do settings[key] = value end
  return settings
end

-- The first of two providers is under test; the second serves.
local function pair(rules, reply)
  local self = stage.new {
    providers = { provider('a', 2), provider('b', 1) }, health = { circuit_breaker = rules or RULES },
  }
  self:reply('a', reply or BAD)
  self:reply('b', GOOD)
  return self
end

local function alone(reply, ...)
  local self = stage.new { providers = { provider 'a' }, health = { circuit_breaker = RULES } }
  self:reply('a', reply, ...)
  return self
end

local function tries_at(exchange, host)
  local count = 0
  for _, attempt in ipairs(exchange.tries) do
    if attempt.origin.host == host .. '.test' then count = count + 1 end
  end
  return count
end

-- How often the first provider is tried by one request.
local function tried(self, request)
  local _, exchange = self:request(request)
  return tries_at(exchange, 'a')
end

local function fail(self, count)
  self:reply('a', BAD)
  for _ = 1, count do self:request() end
end

-- A request of its own kind: no other has its body.
local serial = 0
local function another()
  serial = serial + 1
  return { body = { x = tostring(serial) } }
end

local function upstream(self)
  local one = self.current.providers[1]
  return { key = one.keys[1], model = 'claude-sonnet-4-5', credential = 'own' }
end

describe('the circuit of a provider', function()
  it('opens after so many failures in a row, while another provider is healthy', function()
    local self = pair()
    fail(self, 2)
    assert.equal(1, tried(self))
    assert.equal(1, self:count 'circuit opened provider=a')
    local answer, exchange = self:request()
    assert.equal(0, tries_at(exchange, 'a'))
    assert.equal(200, answer.status)
  end)

  it('counts failures in a row only', function()
    local self = pair()
    for _ = 1, 4 do
      fail(self, 2)
      self:reply('a', GOOD)
      self:request()
    end
    assert.equal(0, self:count 'circuit opened')
  end)

  for what, reply in pairs {
    ['a refused connection'] = { error = 'CC_EREFUSED' }, ['a time-out'] = { error = 'CC_EHEAD_TIMEOUT' },
    ['a truncated stream'] = { status = 200, ending = { error = 'CC_ETRUNCATED' } },
    ['an error event in the stream'] = { status = 200, ending = { stream_error = 'api_error' } },
  } do
    it('counts ' .. what, function()
      local self = pair(nil, reply)
      for _ = 1, 3 do self:request(another()) end
      assert.equal(0, tried(self))
    end)
  end

  for what, reply in pairs {
    ['what this machine lacks'] = { error = 'CC_EROOM' },
    ['bad requests'] = { status = 400, body = '{}' }, ['unknown paths'] = { status = 404, body = '{}' },
    ['clients that go'] = { status = 200, ending = { error = 'CC_ECLIENT_GONE' } },
    ['clients that read too slowly'] = { status = 200, ending = { error = 'CC_EWRITE_TIMEOUT' } },
  } do
    it('does not count ' .. what, function()
      local self = pair(nil, reply)
      for _ = 1, 5 do self:request(another()) end
      assert.equal(1, tried(self))
    end)
  end

  it('lets one probe through when its time is over, and closes on success', function()
    local self = pair()
    fail(self, 3)
    stage.advance(29000)
    assert.equal(0, tried(self))
    stage.advance(1500)
    self:reply('a', { status = 200, after = 100 }, GOOD)
    local first, second = self:requests({}, { at = 50 })
    assert.equal(1, tries_at(first, 'a'))
    assert.equal(0, tries_at(second, 'a'))
    assert.equal(200, second.answer.status)
    assert.equal(1, self:count 'circuit closed provider=a')
    assert.equal(1, tried(self))
    assert.equal(1, self:count 'circuit closed')
    fail(self, 2)
    assert.equal(1, tried(self))
  end)

  it('opens again when the probe fails', function()
    local self = pair()
    fail(self, 3)
    stage.advance(31000)
    assert.equal(1, tried(self))
    assert.equal(0, tried(self))
    stage.advance(31000)
    assert.equal(1, tried(self))
  end)

  it('needs so many good probes as configured', function()
    local self = pair { failure_threshold = 1, open_duration_ms = 1000, half_open_probes = 2 }
    fail(self, 1)
    stage.advance(1500)
    self:reply('a', GOOD)
    assert.equal(1, tried(self))
    self:reply('a', BAD)
    assert.equal(1, tried(self))
    assert.equal(0, tried(self))
  end)

  it('withdraws a probe that showed nothing', function()
    local self = pair()
    fail(self, 3)
    stage.advance(31000)
    self:reply('a', { hang = true }, GOOD)
    self:requests { gone_after = 10 }
    assert.equal(1, tried(self))
  end)

  it('replaces a probe that was lost with its worker', function()
    local self = pair()
    fail(self, 3)
    stage.advance(31000)
    local exchange = { generation = self.current }
    assert.is_truthy(health.admit(exchange, upstream(self), false))
    local probes, ready = health.admit(exchange, upstream(self), false)
    assert.is_nil(probes)
    assert.is_true(ready > stage.C.cc_now())
    assert.equal(0, tried(self))
    stage.advance(121000)
    self:reply('a', GOOD)
    assert.equal(1, tried(self))
  end)

  it('withdraws a probe at once when the worker in its slot is replaced', function()
    local self = pair()
    local function worker(slot) health.attach(slot, self.current) end
    fail(self, 3)
    stage.advance(31000)
    worker(3)
    assert.is_truthy(health.admit({ generation = self.current }, upstream(self), false))
    worker(2)
    assert.equal(0, tried(self))
    worker(3)
    self:reply('a', GOOD)
    assert.equal(1, tried(self))
    worker(0)
  end)

  it('withdraws a probe of a key at its limit as well', function()
    local keys = { { key = 'sk-1', priority = 2 }, { key = 'sk-2', priority = 1 } }
    local self = stage.new { providers = { provider('a', 1, { keys = keys }) } }
    self.replies['a.test'] = { function(attempt)
      local limited = { status = 429, body = '{}', headers = { ['retry-after'] = '5' } }
      return attempt.headers['x-api-key'] == 'sk-1' and limited or GOOD
    end }
    self:request()
    stage.advance(5100)
    health.attach(3, self.current)
    assert.is_truthy(health.admit({ generation = self.current }, upstream(self), false))
    assert.equal(1, tried(self))
    health.attach(3, self.current)
    assert.equal(2, tried(self))
    health.attach(0, self.current)
  end)

  it('is not closed by a failure that is the client\'s fault', function()
    local self = pair()
    fail(self, 3)
    stage.advance(31000)
    self:reply('a', { status = 400, body = '{}' })
    assert.equal(1, tried(self))
    assert.equal('half_open', overview.provider_state(self.current.providers[1], stage.C.cc_now()))
    self:reply('a', BAD)
    assert.equal(1, tried(self))
    assert.equal(0, tried(self))
  end)

  it('opens again when the stream of a probe dies', function()
    for probes = 1, 2 do
      local self = pair { failure_threshold = 3, open_duration_ms = 30000, half_open_probes = probes }
      fail(self, 3)
      stage.advance(31000)
      self:reply('a', { status = 200, ending = { error = 'CC_ETRUNCATED' } }, GOOD)
      assert.equal(1, tried(self))
      assert.equal(0, tried(self))
    end
  end)

  it('that is half open is not opened by the late failure of a request sent before', function()
    local self = pair()
    self:reply('a', { status = 500, body = '{}', after = 32000 }, BAD, BAD, BAD, { status = 200, after = 5000 }, GOOD)
    local requests = {}
    for index, at in ipairs { 0, 10, 20, 30, 31000, 31500, 37000 } do
      requests[index] = another()
      requests[index].at = at
    end
    local tries = {}
    for index, exchange in ipairs { self:requests(unpack(requests)) } do tries[index] = tries_at(exchange, 'a') end
    assert.same({ 1, 1, 1, 1, 1, 0, 1 }, tries)
  end)

  it('does not apply to count_tokens', function()
    local self = pair()
    self:reply('a', BAD)
    for _ = 1, 5 do self:request { path = '/v1/messages/count_tokens' } end
    self:reply('a', GOOD)
    assert.equal(1, tried(self))
    fail(self, 3)
    self:reply('a', { status = 200, body = '{"input_tokens":1}' })
    assert.equal(1, tried(self, { path = '/v1/messages/count_tokens' }))
  end)

  it('is kept for each class of models', function()
    local self = pair()
    fail(self, 3)
    assert.equal(1, tried(self, { body = { model = 'claude-haiku-4-5' } }))
    assert.equal(0, tried(self))
  end)
end)

describe('the only provider', function()
  for what, reply in pairs {
    ['fails'] = BAD, ['is overloaded'] = OVERLOADED, ['cannot be reached'] = { error = 'CC_EREFUSED' },
    ['answers 429 without a time'] = { status = 429, body = '{}' }, ['refuses the key'] = { status = 401, body = '{}' },
    ['wants money'] = { status = 402, body = '{}' }, ['lacks the model'] = { status = 404,
      body = '{"type":"error","error":{"type":"not_found_error","message":"model: x"}}' },
  } do
    it('is tried each time, also when it ' .. what, function()
      local self = alone(reply)
      for _ = 1, 8 do assert.equal(1, tried(self, another())) end
      self:reply('a', GOOD)
      assert.equal(200, self:request().status)
    end)
  end

  it('serves as soon as it recovers: 529, 529, 200', function()
    local self = alone(OVERLOADED, OVERLOADED, GOOD)
    local first, second, third = self:requests({}, { at = 600 }, { at = 1200 })
    assert.equal(529, first.answer.status)
    assert.equal(529, second.answer.status)
    assert.equal(200, third.answer.status)
  end)

  it('closes its circuit by a success although it is open', function()
    local self = alone(BAD)
    for _ = 1, 3 do self:request(another()) end
    assert.equal('open', overview.provider_state(self.current.providers[1], stage.C.cc_now()))
    self:reply('a', GOOD)
    self:request()
    assert.equal('closed', overview.provider_state(self.current.providers[1], stage.C.cc_now()))
  end)
end)

describe('when no provider is healthy', function()
  it('only the least unhealthy is tried', function()
    local self = stage.new { providers = { provider('a', 2), provider('b', 1) },
      health = { circuit_breaker = RULES } }
    self:reply('a', BAD)
    self:reply('b', OVERLOADED)
    for _ = 1, 4 do self:request(another()) end
    local _, exchange = self:request(another())
    assert.equal(1, #exchange.tries)
    assert.equal('b.test', exchange.tries[1].origin.host)
  end)

  for what, call in pairs { first = 'first(list)', race = 'race(list, { after_ms = 10 })' } do
    it('a candidate that was left out for a short time is tried when the healthy ones fail: ' .. what, function()
      local self = stage.new { providers = { provider('a', 3), provider('b', 2), provider('c', 1) },
        health = { circuit_breaker = RULES }, policy = "local relay = require 'ccrelay'\n"
          .. 'return function(exchange) local list = relay.upstreams(exchange) return exchange:' .. call .. ' end' }
      fail(self, 3)
      self:reply('b', BAD)
      self:reply('c', BAD)
      self:reply('a', GOOD)
      local answer, exchange = self:request()
      assert.equal(200, answer.status)
      assert.equal(3, #exchange.tries)
      assert.equal('a.test', exchange.tries[3].origin.host)
      assert.equal(5000, exchange.tries[3].head_ms)
    end)
  end

  it('a provider that does not have the model is not tried for it again', function()
    local self = stage.new { providers = { provider('a', 2), provider('b', 1) } }
    self:reply('a', OVERLOADED)
    self:reply('b', { status = 404, body = '{"type":"error","error":{"type":"not_found_error","message":"model: x"}}' })
    local asked = 0
    for _ = 1, 4 do
      local answer, exchange = self:request(another())
      assert.equal(529, answer.status)
      asked = asked + tries_at(exchange, 'b')
    end
    assert.equal(1, asked)
  end)
end)

describe('a suspended upstream', function()
  for what, reply in pairs {
    ['a key that was refused'] = { status = 401, body = '{}' }, ['a key without money'] = { status = 402, body = '{}' },
  } do
    for why, other in pairs { ['cannot be reached'] = { error = 'CC_EREFUSED' }, fails = BAD,
      ['is overloaded'] = OVERLOADED, ['is at its limit'] = { status = 429, body = '{}' } } do
      it('is tried each time while the other provider ' .. why .. ': ' .. what, function()
        local self = pair(nil, reply)
        self:reply('b', other)
        for _ = 1, 8 do
          assert.equal(1, tried(self, another()))
          if other.error then assert.equal(reply.status, self:request(another()).status) end
        end
        self:reply('a', GOOD)
        assert.equal(200, self:request(another()).status)
      end)
    end
  end

  it('without the model says so, and this is told rather than that the other cannot be reached', function()
    local self = pair(nil, { status = 404,
      body = '{"type":"error","error":{"type":"not_found_error","message":"model: x"}}' })
    self:reply('b', { error = 'CC_EREFUSED' })
    for _ = 1, 8 do assert.equal(404, self:request(another()).status) end
  end)
end)

describe('a request that its client repeats', function()
  it('counts once, however often it fails', function()
    local self = stage.new { providers = { provider('a', 2), provider('b', 1) },
      health = { circuit_breaker = RULES } }
    for _, name in ipairs { 'a', 'b' } do self:reply(name, BAD) end
    for _ = 1, 8 do assert.equal(500, self:request { body = { x = 'poison' } }.status) end
    assert.equal(0, self:count 'circuit opened')
    assert.equal(1, tried(self, another()))
  end)

  it('is told from others by its client', function()
    local self = stage.new { providers = { provider('a', 2), provider('b', 1) },
      health = { circuit_breaker = RULES }, server = { auth = { clients = {
        { name = 'ann', key = 'key-ann' }, { name = 'bob', key = 'key-bob' }, { name = 'cy', key = 'key-cy' } } } } }
    self:reply('a', BAD)
    self:reply('b', BAD)
    for _, key in ipairs { 'key-ann', 'key-bob', 'key-cy' } do self:request { headers = { ['x-api-key'] = key } } end
    assert.equal(2, self:count 'circuit opened')
  end)

  it('counts anew when it was served in between', function()
    local self = pair()
    for _ = 1, 3 do self:request() end
    assert.equal(1, self:count 'circuit opened')
  end)

  it('at once, when all are down, gets one attempt, not one at every upstream', function()
    for _, reply in ipairs { BAD, { status = 429, body = '{}' }, { error = 'CC_ERESET' } } do
      local self = stage.new { providers = { provider('a', 3), provider('b', 2), provider('c', 1) } }
      for _, name in ipairs { 'a', 'b', 'c' } do self:reply(name, reply) end
      local tries = 0
      for _ = 1, 50 do
        local _, exchange = self:request()
        tries = tries + #exchange.tries
      end
      assert.is_true(tries <= 60, tries)
      self:reply('b', GOOD)
      stage.advance(400)
      assert.equal(200, self:request().status)
    end
  end)

  it('counts each time for an overload, which it cannot cause', function()
    local self = stage.new { providers = { provider('a', 2), provider('b', 1) },
      health = { circuit_breaker = RULES } }
    self:reply('a', OVERLOADED)
    self:reply('b', BAD)
    for _ = 1, 3 do self:request() end
    local _, exchange = self:request()
    assert.equal('b.test', exchange.tries[1].origin.host)
  end)

  it('counts each time for a refused connection, which it cannot cause', function()
    local self = stage.new { providers = { provider('a', 2), provider('b', 1) },
      health = { circuit_breaker = RULES } }
    self:reply('a', { error = 'CC_EREFUSED' })
    self:reply('b', BAD)
    for _ = 1, 3 do self:request() end
    assert.equal(1, self:count 'circuit opened provider=a')
    assert.equal(0, self:count 'circuit opened provider=b')
  end)
end)

describe('an overload', function()
  it('leaves a provider out after three in a row, for 2 s at first', function()
    local self = pair(nil, OVERLOADED)
    for _ = 1, 3 do assert.equal(1, tried(self)) end
    assert.equal(0, tried(self))
    stage.advance(1900)
    assert.equal(0, tried(self))
    stage.advance(200)
    assert.equal(1, tried(self))
  end)

  it('lasts twice as long each time, 30 s at most', function()
    local self = pair(nil, OVERLOADED)
    for _ = 1, 3 do self:request() end
    for _, seconds in ipairs { 2, 4, 8, 16, 30, 30 } do
      stage.advance(seconds * 1000 - 200)
      assert.equal(0, tried(self))
      stage.advance(300)
      assert.equal(1, tried(self))
    end
  end)

  it('begins at 2 s again after a success', function()
    local self = pair(nil, OVERLOADED)
    for _ = 1, 3 do self:request() end
    stage.advance(2100)
    self:request()
    stage.advance(4100)
    self:reply('a', GOOD)
    assert.equal(1, tried(self))
    self:reply('a', OVERLOADED)
    for _ = 1, 3 do self:request() end
    stage.advance(2100)
    assert.equal(1, tried(self))
  end)

  it('counts in streams that break off as in answers', function()
    local self = pair(nil, { status = 200, ending = { stream_error = 'overloaded_error' } })
    for _ = 1, 3 do assert.equal(1, tried(self, another())) end
    assert.equal(0, tried(self))
    stage.advance(2100)
    assert.equal(1, tried(self, another()))
    stage.advance(2100)
    assert.equal(0, tried(self))
    stage.advance(2100)
    assert.equal(1, tried(self))
  end)

  it('with a stated time leaves the provider out at once, 30 s at most', function()
    local reply = { status = 529, body = '{}', headers = { ['retry-after'] = '600' } }
    local self = pair(nil, reply)
    assert.equal(1, tried(self))
    assert.equal(0, tried(self))
    stage.advance(30100)
    assert.equal(1, tried(self))
  end)

  it('is one of the provider: no other key of it is tried in the exchange', function()
    for _, reply in ipairs { OVERLOADED, BAD, { error = 'CC_EREFUSED' } } do
      local keys = { { key = 'sk-1', priority = 3 }, { key = 'sk-2', priority = 2 } }
      local self = stage.new { providers = { provider('a', 2, { keys = keys }), provider('b', 1) } }
      self:reply('a', reply)
      local answer, exchange = self:request()
      assert.equal(200, answer.status)
      assert.equal(1, tries_at(exchange, 'a'))
    end
  end)
end)

describe('a key', function()
  local function two_keys(reply)
    local keys = { { key = 'sk-1', priority = 2 }, { key = 'sk-2', priority = 1 } }
    local self = stage.new { providers = { provider('a', 1, { keys = keys }) } }
    self.replies['a.test'] = { function(attempt)
      return attempt.headers['x-api-key'] == 'sk-1' and reply or GOOD
    end }
    return self
  end

  local function keys_used(self)
    local _, exchange = self:request()
    local list = {}
    for index, attempt in ipairs(exchange.tries) do list[index] = attempt.headers['x-api-key'] end
    return table.concat(list, ' ')
  end

  for what, case in pairs {
    ['429 until retry-after'] = { { status = 429, headers = { ['retry-after'] = '40' } }, 40 },
    ['429 for an hour at most'] = { { status = 429, headers = { ['retry-after'] = '999999' } }, 3600 },
    ['429 until retry-after-ms'] = { { status = 429, headers = { ['retry-after-ms'] = '700' } }, 0.7 },
    ['401 for ten minutes'] = { { status = 401 }, 600 },
    ['403 for ten minutes'] = { { status = 403 }, 600 },
    ['402 for long'] = { { status = 402 }, 3600 },
    ['a spending limit for long'] = { { status = 429, body = '{"type":"error","error":{"type":"rate_limit_error",'
      .. '"message":"m","details":{"error_code":"enforced_spend_limit_reached"}}}' }, 3600 },
    ['a spending limit until retry-after'] = { { status = 429, headers = { ['retry-after'] = '40' },
      body = '{"type":"error","error":{"type":"billing_error","message":"m"}}' }, 40 },
  } do
    it('is left out by ' .. what, function()
      local reply = case[1]
      reply.body = reply.body or '{}'
      local self = two_keys(reply)
      assert.equal('sk-1 sk-2', keys_used(self))
      assert.equal('sk-2', keys_used(self))
      stage.advance(case[2] * 1000 - math.min(500, case[2] * 500))
      assert.equal('sk-2', keys_used(self))
      stage.advance(1000)
      assert.equal('sk-1 sk-2', keys_used(self))
    end)
  end

  local UNREADABLE = { ['retry-after'] = 'x' }
  for what, headers in pairs {
    ['without a time'] = {}, ['with a time that cannot be read'] = UNREADABLE,
    ['with a time of 0 s'] = { ['retry-after'] = '0' },
    ['with a date that is over'] = { ['retry-after'] = 'Mon, 06 Nov 2006 08:49:37 GMT' },
    ['with the reset of a limit that was not hit'] = { ['anthropic-ratelimit-unified-status'] = 'allowed',
      ['anthropic-ratelimit-unified-reset'] = '99999999999' },
  } do
    it('is left out by the third 429 ' .. what .. ' in a row, for 2 s at first', function()
      local self = two_keys { status = 429, body = '{}', headers = headers }
      for _ = 1, 3 do assert.equal('sk-1 sk-2', keys_used(self)) end
      assert.equal('sk-2', keys_used(self))
      stage.advance(2100)
      assert.equal('sk-1 sk-2', keys_used(self))
      stage.advance(2100)
      assert.equal('sk-2', keys_used(self))
    end)
  end

  it('is left out until the reset that the headers state', function()
    local at = os.date('!%Y-%m-%dT%H:%M:%SZ', 1795000000 + 100)
    local self = two_keys { status = 429, body = '{}', headers = {
      ['anthropic-ratelimit-tokens-remaining'] = '0', ['anthropic-ratelimit-tokens-reset'] = at } }
    self.state.time = (1795000000 * 1000) - self.state.now
    keys_used(self)
    stage.advance(99000)
    assert.equal('sk-2', keys_used(self))
    stage.advance(2000)
    assert.equal('sk-1 sk-2', keys_used(self))
  end)

  local function one_key(reply, keyless)
    local options = { providers = { provider('a', 2), provider('b', 1) } }
    if keyless then options.providers[1].type, options.providers[1].keys = 'ollama', nil end
    local self = stage.new(options)
    reply.body = '{}'
    self:reply('a', reply, GOOD)
    self:reply('b', GOOD)
    assert.equal(keyless and 0 or 1, keyless and 0 or tried(self))
    return self, options
  end

  for _, status in ipairs { 401, 403 } do
    it('that was refused with ' .. status .. ' is tried again after a reload', function()
      local self, options = one_key { status = status }
      assert.equal(0, tried(self))
      self:use(options)
      assert.equal(1, tried(self))
    end)
  end

  for what, reply in pairs { ['at its limit'] = { status = 429, headers = { ['retry-after'] = '600' } },
    ['suspended for billing'] = { status = 402 } } do
    it(what .. ' stays so across a reload', function()
      local self, options = one_key(reply)
      self:use(options)
      assert.equal(0, tried(self))
    end)
  end

  it('at its limit is tried at another address', function()
    local self, options = one_key { status = 429, headers = { ['retry-after'] = '600' } }
    self:reply('elsewhere', GOOD)
    options.providers[1].base_url = 'http://elsewhere.test'
    self:use(options)
    local _, exchange = self:request()
    assert.equal('elsewhere.test', exchange.tries[1].origin.host)
  end)

  it('that was refused after a reload stays so for a worker that was idle until then', function()
    local self, options = one_key { status = 429 }
    local after = stage.build(options)
    after:forgive_keys()
    require('ccrelay.health.suspension').suspend(after.providers[1].keys[1], 'unauthorized')
    self.current = after
    assert.equal(0, tried(self))
  end)

  it('of a client is never suspended', function()
    local self = stage.new { providers = { provider('a', 1, { transparent = true }) } }
    self:reply('a', { status = 429, body = '{}', headers = { ['retry-after'] = '100' } },
      { status = 401, body = '{}' }, GOOD)
    local theirs = { headers = { authorization = 'Bearer theirs' } }
    assert.equal(429, self:request { headers = theirs.headers }.status)
    assert.equal(401, self:request { headers = theirs.headers }.status)
    assert.equal(200, self:request { headers = { authorization = 'Bearer other' } }.status)
    assert.equal(200, self:request().status)
  end)
end)

describe('a limit whose end the provider stated', function()
  local BODY = '{"type":"error","error":{"type":"rate_limit_error","message":"resets 7:45pm"},"request_id":"req_up"}'

  local function limited(seconds, body)
    return { status = 429, body = body or BODY, headers = { ['retry-after'] = tostring(seconds),
      ['anthropic-ratelimit-unified-status'] = 'rejected', ['x-should-retry'] = 'true' } }
  end

  it('is honoured by the only candidate: the answer is repeated, with the seconds that remain', function()
    local self = alone(limited(10800), GOOD)
    assert.equal('10800', self:request().headers['retry-after'])
    stage.advance(100000)
    local answer, exchange = self:request()
    assert.equal(0, #exchange.tries)
    assert.equal(429, answer.status)
    assert.equal(BODY, answer.body)
    assert.equal('10700', answer.headers['retry-after'])
    assert.equal('rejected', answer.headers['anthropic-ratelimit-unified-status'])
    assert.equal('true', answer.headers['x-should-retry'])
  end)

  it('ends after an hour at most', function()
    local self = alone(limited(10800))
    self:request()
    stage.advance(3590000)
    assert.equal(0, tried(self))
    stage.advance(20000)
    assert.equal(1, tried(self))
  end)

  it('is told as JSON with the message of the error, or one of the relay', function()
    local nothing = 'provider "a" answered 429 without a body'
    for body, words in pairs { ['<p>slow down</p>'] = '<p>slow down</p>', [''] = nothing } do
      local reply = limited(20, body)
      reply.headers['content-type'] = 'text/html'
      local self = alone(reply)
      local first, second = self:request(), self:request()
      assert.same({ words, words }, { first.json.error.message, second.json.error.message })
      assert.equal('application/json', second.headers['content-type'])
    end
  end)

  it('is told in whole seconds', function()
    local self = alone(limited '999999999999999')
    self:request()
    assert.matches('^%d+$', self:request().headers['retry-after'])
  end)

  it('replaces a time that the relay chose, but not a later one that was stated', function()
    local self = alone { status = 429, body = BODY }
    for _, pause in ipairs { 0, 0, 0, 2100, 4100, 8100, 16100 } do
      stage.advance(pause)
      self:request(another())
    end
    self:reply('a', limited(2), GOOD)
    self:request(another())
    stage.advance(2100)
    assert.equal(200, self:request().status)
    self:reply('a', limited(60), limited(2), GOOD)
    self:requests({}, {})
    stage.advance(2100)
    assert.equal('58', self:request().headers['retry-after'])
  end)

  it('is told with the message of an error in another shape', function()
    local self = alone(limited(20, '{"error":{"code":"1308","message":"Usage limit reached for 5 hour"}}'))
    self:request()
    local answer = self:request()
    assert.equal(429, answer.status)
    assert.equal('rate_limit_error', answer.json.error.type)
    assert.equal('Usage limit reached for 5 hour', answer.json.error.message)
    assert.equal('20', answer.headers['retry-after'])
  end)

  it('is kept for many keys', function()
    local keys = {}
    for number = 1, 12 do keys[number] = { name = 'p' .. number, type = 'anthropic', serves = { 'm' .. number },
      keys = { { key = 'sk-' .. number } } } end
    local self = stage.new { providers = keys }
    for number = 1, 12 do self:reply('p' .. number, limited(600)) end
    for _ = 1, 2 do
      for number = 1, 12 do
        assert.equal('resets 7:45pm', self:request { body = { model = 'm' .. number } }.json.error.message)
      end
    end
  end)

  it('is kept for each class of models', function()
    local self = alone(limited(600), GOOD)
    self:request()
    assert.equal(200, self:request { body = { model = 'claude-haiku-4-5' } }.status)
  end)

  it('is told rather than that a fallback rejects the request', function()
    local self = stage.new { providers = { provider('a', 2), provider('b', 1) } }
    self:reply('a', limited(600))
    self:reply('b', { status = 400, body = '{"message":"prompt is too long"}' })
    for _ = 1, 2 do
      local answer = self:request()
      assert.equal(429, answer.status)
      assert.equal('resets 7:45pm', answer.json.error.message)
    end
  end)

  it('is not told if an upstream before it rejects the request', function()
    local self = stage.new { providers = { provider('a', 2), provider('b', 1) } }
    self:reply('b', limited(600))
    self:reply('a', { status = 500, body = '{}' }, { status = 400, body = '{"message":"no"}' })
    assert.equal(500, self:request().status)
    assert.equal(400, self:request().status)
  end)

  it('is told rather than that a fallback cannot serve', function()
    for _, reply in ipairs { { error = 'CC_EREFUSED' }, { status = 404, body = '{"error":"model \'x\' not found"}' },
      { status = 401, body = '{}' } } do
      local self = stage.new { providers = { provider('a', 2), provider('b', 1) } }
      self:reply('a', limited(600))
      self:reply('b', reply)
      for _ = 1, 3 do
        local answer = self:request()
        assert.equal(429, answer.status)
        assert.equal('600', answer.headers['retry-after'])
        assert.equal('resets 7:45pm', answer.json.error.message)
      end
    end
  end)
end)
