-- SPDX-License-Identifier: Apache-2.0
local stage = require 'support.stage'

local function failing(settings)
  return stage.new {
    providers = { { name = 'a', type = 'anthropic', keys = { { key = 'sk-a' } } } },
    health = { circuit_breaker = settings or { failure_threshold = 3, open_duration_ms = 30000,
      half_open_probes = 1 } },
  }
end

local BAD = { status = 500, body = '{"message":"no"}' }
local GOOD = { status = 200 }

local function sent(self, request)
  local _, exchange = self:request(request)
  return #exchange.tries
end

local function fail(self, count)
  self:reply('a', BAD)
  for _ = 1, count do self:request() end
end

describe('the circuit', function()
  it('opens after so many failures in a row', function()
    local self = failing()
    fail(self, 2)
    assert.equal(1, sent(self))
    assert.equal(1, self:count 'circuit opened provider=a')
    local answer, exchange = self:request()
    assert.equal(0, #exchange.tries)
    assert.equal(529, answer.status)
  end)

  it('counts failures in a row only', function()
    local self = failing()
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
      local self = failing()
      self:reply('a', reply)
      for _ = 1, 3 do self:request() end
      assert.equal(0, sent(self))
    end)
  end

  for what, reply in pairs {
    ['what this machine lacks'] = { error = 'CC_EROOM' },
    ['bad requests'] = { status = 400, body = '{}' }, ['unknown models'] = { status = 404, body = '{}' },
    ['clients that go'] = { status = 200, ending = { error = 'CC_ECLIENT_GONE' } },
    ['clients that read too slowly'] = { status = 200, ending = { error = 'CC_EWRITE_TIMEOUT' } },
  } do
    it('does not count ' .. what, function()
      local self = failing()
      self:reply('a', reply)
      for _ = 1, 5 do self:request() end
      assert.equal(1, sent(self))
    end)
  end

  it('lets one probe through when its time is over, and closes on success', function()
    local self = failing()
    fail(self, 3)
    stage.advance(29000)
    assert.equal(0, sent(self))
    stage.advance(1500)
    self:reply('a', { status = 200, after = 100 }, GOOD)
    local first, second = self:requests({}, { at = 50 })
    assert.equal(1, #first.tries)
    assert.equal(0, #second.tries)
    assert.equal(529, second.answer.status)
    assert.equal(1, sent(self))
    fail(self, 2)
    assert.equal(1, sent(self))
  end)

  it('opens again when the probe fails', function()
    local self = failing()
    fail(self, 3)
    stage.advance(31000)
    assert.equal(1, sent(self))
    assert.equal(0, sent(self))
    stage.advance(31000)
    assert.equal(1, sent(self))
  end)

  it('needs so many good probes as configured', function()
    local self = failing { failure_threshold = 1, open_duration_ms = 1000, half_open_probes = 2 }
    fail(self, 1)
    stage.advance(1500)
    self:reply('a', GOOD)
    assert.equal(1, sent(self))
    self:reply('a', BAD)
    assert.equal(1, sent(self))
    assert.equal(0, sent(self))
  end)

  it('takes a probe back that came to nothing', function()
    local self = failing()
    fail(self, 3)
    stage.advance(31000)
    self:reply('a', { hang = true }, GOOD)
    self:requests { gone_after = 10 }
    assert.equal(1, sent(self))
  end)

  it('replaces a probe that was lost with its worker', function()
    local self = failing()
    fail(self, 3)
    stage.advance(31000)
    self:reply('a', { hang = true }, GOOD)
    local health = require 'ccrelay.health'
    assert.is_true(health.admit(self.current.providers[1], stage.C.cc_now()))
    assert.is_false(health.admit(self.current.providers[1], stage.C.cc_now()))
    assert.equal(0, sent(self))
    stage.advance(121000)
    self:reply('a', GOOD)
    assert.equal(1, sent(self))
  end)

  it('takes a probe back at once when the worker in its slot begins anew', function()
    local health, self = require 'ccrelay.health', failing()
    local function worker(slot) health.attach(slot, self.current) end
    fail(self, 3)
    stage.advance(31000)
    worker(3)
    assert.is_true(health.admit(self.current.providers[1], stage.C.cc_now()))
    worker(2)
    assert.equal(0, sent(self))
    worker(3)
    self:reply('a', GOOD)
    assert.equal(1, sent(self))
    worker(0)
  end)

  it('is not closed by what is the client\'s fault', function()
    local self = failing()
    fail(self, 3)
    stage.advance(31000)
    self:reply('a', { status = 400, body = '{}' })
    assert.equal(1, sent(self))
    assert.equal('half_open', require('ccrelay.health').breaker(self.current.providers[1], stage.C.cc_now()))
    self:reply('a', BAD)
    assert.equal(1, sent(self))
    assert.equal(0, sent(self))
  end)

  it('opens again when the stream of a probe dies', function()
    local self = failing { failure_threshold = 3, open_duration_ms = 30000, half_open_probes = 2 }
    fail(self, 3)
    stage.advance(31000)
    self:reply('a', { status = 200, ending = { error = 'CC_ETRUNCATED' } }, GOOD)
    assert.equal(1, sent(self))
    assert.equal(0, sent(self))
  end)

  it('tells when a refused attempt may be repeated', function()
    local health, self = require 'ccrelay.health', failing()
    fail(self, 3)
    local admitted, ready = health.admit(self.current.providers[1], stage.C.cc_now())
    assert.is_false(admitted)
    assert.is_true(ready - stage.C.cc_now() > 25000)
  end)

  it('is nothing to count_tokens', function()
    local self = failing()
    self:reply('a', BAD)
    for _ = 1, 5 do self:request { path = '/v1/messages/count_tokens' } end
    self:reply('a', GOOD)
    assert.equal(1, sent(self))
    fail(self, 3)
    self:reply('a', { status = 200, body = '{"input_tokens":1}' })
    assert.equal(1, sent(self, { path = '/v1/messages/count_tokens' }))
  end)
end)

describe('a key', function()
  local function two_keys(reply)
    local self = stage.new { providers = { { name = 'a', type = 'anthropic', keys = {
      { key = 'sk-1', priority = 2 }, { key = 'sk-2', priority = 1 } } } } }
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
    ['429 for ten seconds when nothing is said'] = { { status = 429 }, 10 },
    ['429 for an hour at most'] = { { status = 429, headers = { ['retry-after'] = '999999' } }, 3600 },
    ['429 for a second at least'] = { { status = 429, headers = { ['retry-after'] = '0' } }, 1 },
    ['429 with a retry-after that cannot be read for ten seconds'] = { { status = 429,
      headers = { ['retry-after'] = 'x' } }, 10 },
    ['401 for ten minutes'] = { { status = 401 }, 600 },
    ['403 for ten minutes'] = { { status = 403 }, 600 },
    ['402 for long'] = { { status = 402 }, 3600 },
    ['a spent budget for long'] = { { status = 429, body = '{"type":"error","error":{"type":"rate_limit_error",'
      .. '"message":"m","details":{"error_code":"enforced_spend_limit_reached"}}}' }, 3600 },
  } do
    it('is put aside by ' .. what, function()
      local reply = case[1]
      reply.body = reply.body or '{}'
      local self = two_keys(reply)
      assert.equal('sk-1 sk-2', keys_used(self))
      assert.equal('sk-2', keys_used(self))
      stage.advance(case[2] * 1000 - 500)
      assert.equal('sk-2', keys_used(self))
      stage.advance(1000)
      assert.equal('sk-1 sk-2', keys_used(self))
    end)
  end

  it('is put aside until the reset that headers tell', function()
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

  it('that all were refused is told at once, for repeating helps nobody', function()
    local self = stage.new { providers = { { name = 'a', type = 'anthropic', keys = { { key = 'sk-1' } } } } }
    self:reply('a', { status = 401, body = '{}' })
    self:request()
    local answer = self:request()
    assert.equal(529, answer.status)
    assert.equal('false', answer.headers['x-should-retry'])
    assert.is_truthy(answer.json.error.message:find('every key for model "claude%-sonnet%-4%-5" was refused'))
    assert.equal('aside', self:line().error)
    stage.advance(550000)
    assert.is_nil(self:request().headers['x-should-retry'])
  end)

  it('is not put aside by an overload, which cools the provider', function()
    local self = two_keys { status = 529, body = '{}' }
    assert.equal('sk-1 sk-2', keys_used(self))
    assert.equal('', keys_used(self))
    stage.advance(3500)
    assert.equal('sk-1 sk-2', keys_used(self))
  end)

  local function one_key(reply, keyless)
    local options = { providers = { { name = 'a', type = 'anthropic', keys = { { key = 'sk-1' } } } } }
    if keyless then options.providers[1].type, options.providers[1].keys = 'ollama', nil end
    local self = stage.new(options)
    reply.body = '{}'
    self:reply('a', reply, GOOD)
    assert.equal(reply.status, self:request().status)
    assert.not_equal(200, self:request().status)
    return self, options
  end

  for _, status in ipairs { 401, 403 } do
    it('that was refused with ' .. status .. ' gets a new chance by a reload', function()
      for _, keyless in ipairs { false, true } do
        local self, options = one_key({ status = status }, keyless)
        self:use(options)
        assert.equal(200, self:request().status)
      end
    end)
  end

  for what, reply in pairs { ['its limit'] = { status = 429, headers = { ['retry-after'] = '600' } },
    ['its budget'] = { status = 402 } } do
    it('at ' .. what .. ' stays aside over a reload', function()
      local self, options = one_key(reply)
      self:use(options)
      assert.not_equal(200, self:request().status)
    end)
  end

  it('that was refused after a reload stays so for a worker that had nothing to do until then', function()
    local self, options = one_key { status = 429 }
    local after = stage.build(options)
    after:cure()
    require('ccrelay.health').refused(after.providers[1].slots[1], stage.C.cc_now())
    self.current = after
    assert.not_equal(200, self:request().status)
  end)

  it('of a client is nobody\'s to judge', function()
    local self = stage.new { providers = { { name = 'a', type = 'anthropic', keys = { { key = 'sk-1' } } } } }
    self:reply('a', { status = 429, body = '{}', headers = { ['retry-after'] = '100' } },
      { status = 401, body = '{}' }, GOOD)
    local theirs = { headers = { authorization = 'Bearer theirs' } }
    assert.equal(429, self:request { headers = theirs.headers }.status)
    assert.equal(401, self:request { headers = theirs.headers }.status)
    assert.equal(200, self:request { headers = { authorization = 'Bearer other' } }.status)
    assert.equal(200, self:request().status)
  end)
end)
