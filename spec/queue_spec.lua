-- SPDX-License-Identifier: Apache-2.0
-- Waiting for room in limits, on a clock that only events move.
local fake = require 'support.fake_c'
local metrics = require 'ccrelay.metrics'
local stage = require 'support.stage'

local MINUTE = 60000

-- One key of 2 requests a minute, whose answers take 10 ms.
local function limited(options, key)
  options = options or {}
  local name = stage.fresh('queue'):gsub(' ', '-')
  key = key or { key = 'sk-q', rpm_limit = 2 }
  options.providers = options.providers or { { name = name, type = 'anthropic', base_url = 'http://q.test',
    keys = { key } } }
  options.routing = options.routing or { queue_ms = 2 * MINUTE }
  options.server = options.server or { timeout_ms = 0 }
  local self = stage.new(options)
  self.served = {}
  self.replies['q.test'] = { function(attempt)
    attempt.sent_at = fake.C.cc_now()
    self.served[#self.served + 1] = { at = attempt.sent_at, key = attempt.headers['x-api-key'] }
    return { after = 10 }
  end }
  return self
end

local function statuses(...)
  local list = {}
  for index, exchange in ipairs { ... } do list[index] = exchange.answer and exchange.answer.status or 0 end
  return table.concat(list, ' ')
end

describe('when all keys are at their limits', function()
  it('an exchange waits for room', function()
    local self = limited()
    local start = fake.C.cc_now()
    assert.equal('200 200 200', statuses(self:requests({}, {}, { at = 1000 })))
    local waited = self.served[3].at - start
    assert.is_true(waited >= MINUTE and waited <= MINUTE + 1500, waited)
    assert.is_true(tonumber(self:line().queued_ms) >= 58000)
    assert.equal(1, metrics.counters().queued)
  end)

  it('it is refused at once by default', function()
    local self = limited { routing = {} }
    assert.equal('200 200 429', statuses(self:requests({}, {}, { at = 1000 })))
    assert.is_true(fake.C.cc_now() - self.served[2].at < 2000)
    assert.is_nil(self:line().queued_ms)
  end)

  it('it is refused at once when room comes too late', function()
    local self = limited { routing = { queue_ms = 30000 } }
    local _, _, third = self:requests({}, {}, { at = 1000 })
    assert.equal(429, third.answer.status)
    assert.is_true(fake.C.cc_now() - self.served[2].at < 2000)
    assert.is_true(tonumber(third.answer.headers['retry-after']) >= 29)
  end)

  it('it waits in vain no longer than queue_ms', function()
    local self = limited({ routing = { queue_ms = MINUTE + 2000 } }, { key = 'sk-q', rpm_limit = 1 })
    local list = { self:requests({}, { at = 10 }, { at = 20 }) }
    assert.equal('200 200 429', statuses(unpack(list)))
    assert.is_true(fake.C.cc_now() - list[3].at <= MINUTE + 3000)
  end)

  it('they go on in the order they came', function()
    local self, list = limited({ routing = { queue_ms = 10 * MINUTE } }), {}
    for index = 1, 8 do list[index] = { at = index * 7 } end
    list = { self:requests(unpack(list)) }
    local last = 0
    for _, exchange in ipairs(list) do
      local at = exchange.tries[1].sent_at
      assert.equal(200, exchange.answer.status)
      assert.is_true(at >= last)
      last = at
    end
    assert.is_true(self.served[8].at - self.served[1].at < 3 * MINUTE + 5000)
  end)

  it('those with large estimates too', function()
    local self = limited({ routing = { queue_ms = 2 * MINUTE } }, { key = 'sk-q', otpm_limit = 1000 })
    assert.equal('200 200', statuses(self:requests({ body = { max_tokens = 900 } },
      { at = 100, body = { max_tokens = 900 } })))
    assert.is_true(self.served[2].at - self.served[1].at >= MINUTE)
  end)

  it('the key that has room first is the one', function()
    local self = limited { providers = { { name = stage.fresh('two'):gsub(' ', '-'), type = 'anthropic',
      base_url = 'http://q.test', keys = { { key = 'sk-1', otpm_limit = 1000, priority = 2 },
        { key = 'sk-2', otpm_limit = 1000 } } } } }
    local big = { max_tokens = 900 }
    assert.equal('200 200 200', statuses(self:requests({ body = big }, { at = 30000, body = big },
      { at = 31000, body = big })))
    assert.equal('sk-1', self.served[3].key)
    assert.is_true(self.served[3].at - self.served[2].at < 31500)
  end)

  it('one that leaves is forgotten, and takes no room', function()
    local function run(count)
      local self, list = limited(), { {}, {} }
      for index = 1, count do list[index + 2] = { at = index, gone_after = 5000 } end
      list[#list + 1] = { at = 6000 }
      list = { self:requests(unpack(list)) }
      for index = 3, count + 2 do assert.equal(0, #list[index].tries) end
      assert.equal(200, list[#list].answer.status)
      assert.equal(3, #self.served)
      return self.served[3].at - list[#list].at
    end
    assert.equal(run(0), run(40))
  end)

  it('the time of the whole exchange holds', function()
    local self = limited { server = { timeout_ms = 30000 } }
    local _, _, third = self:requests({}, {}, { at = 10 })
    assert.equal(429, third.answer.status)
    assert.is_true(fake.C.cc_now() - third.at < 30000)
  end)

  it('a key that the provider rests is waited for as well', function()
    local self = limited({}, { key = 'sk-q' })
    self.replies['q.test'] = { { status = 429, body = '{}', headers = { ['retry-after'] = '20' } }, { status = 200 } }
    local first, second = self:requests({}, { at = 100 })
    assert.equal('429 200', statuses(first, second))
    assert.is_true(fake.C.cc_now() - second.at >= 19000)
  end)

  it('another key that has room serves at once', function()
    local self = limited { providers = { { name = stage.fresh('two'):gsub(' ', '-'), type = 'anthropic',
      base_url = 'http://q.test', keys = { { key = 'sk-1', rpm_limit = 1, priority = 2 }, { key = 'sk-2' } } } } }
    assert.equal('200 200', statuses(self:requests({}, { at = 50 })))
    assert.equal('sk-2', self.served[2].key)
    assert.is_true(self.served[2].at - self.served[1].at < 100)
  end)

  it('an open circuit is not waited for', function()
    local self = stage.new {
      providers = { { name = 'a', type = 'anthropic', keys = { { key = 'sk-a' } } } },
      routing = { queue_ms = MINUTE },
      health = { circuit_breaker = { failure_threshold = 1, open_duration_ms = 5000 } },
    }
    self:reply('a', { error = 'CC_EREFUSED' })
    assert.equal(502, self:request().status)
    local before = fake.C.cc_now()
    assert.equal(529, self:request().status)
    assert.is_true(fake.C.cc_now() - before < 100)
  end)

  it('a limit is waited for although the other provider is down', function()
    local self = limited { providers = {
      { name = 'down', type = 'anthropic', keys = { { key = 'sk-d', priority = 1 } } },
      { name = stage.fresh('up'):gsub(' ', '-'), type = 'anthropic', base_url = 'http://q.test',
        keys = { { key = 'sk-u', rpm_limit = 1, priority = 2 } } },
    }, health = { circuit_breaker = { failure_threshold = 1, open_duration_ms = 3000 } } }
    self:reply('down', { error = 'CC_EREFUSED' })
    local first, second, third = self:requests({}, { at = 10 }, { at = 20 })
    assert.equal('200 502 200', statuses(first, second, third))
    assert.equal('q.test', third.answer.origin)
    assert.is_true(self.served[2].at - self.served[1].at >= MINUTE)
  end)
end)

describe('a policy', function()
  local function policy(text)
    return "local relay = require 'ccrelay'\nreturn function(exchange) " .. text .. ' end'
  end

  it('may go without waiting', function()
    local self = limited { policy = policy 'return exchange:first(relay.upstreams(exchange, { wait = false }))' }
    assert.equal('200 200 429', statuses(self:requests({}, {}, { at = 1000 })))
    assert.is_true(fake.C.cc_now() - self.served[2].at < 2000)
  end)

  it('is not told that the room it saw went to another: it waits once more', function()
    local self = limited({ policy = policy [[
      local list = relay.upstreams(exchange)
      exchange:sleep(100)
      return exchange:try(list[1])
    ]] }, { key = 'sk-q', rpm_limit = 1 })
    assert.equal('200 200', statuses(self:requests({}, { at = 10 })))
    assert.is_true(self.served[2].at - self.served[1].at >= MINUTE)
  end)

  it('is back in its own script after the wait, with its bounds', function()
    local self = limited { policy = policy [[
      local list = relay.upstreams(exchange)
      local ok, message = pcall(function() return ('x'):rep(2 * 1024 * 1024) end)
      relay.log(ok and 'unbounded' or 'bounded')
      return exchange:first(list)
    ]] }
    assert.equal('200 200 200', statuses(self:requests({}, {}, {})))
    assert.equal(3, self:count ' bounded')
  end)
end)

it('count_tokens does not wait', function()
  local self = limited()
  self.replies['q.test'] = { { status = 200, body = '{"input_tokens":1}' } }
  self:requests({}, {})
  local before = fake.C.cc_now()
  assert.equal(200, self:request { path = '/v1/messages/count_tokens' }.status)
  assert.is_true(fake.C.cc_now() - before < 100)
end)
