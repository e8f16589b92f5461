-- SPDX-License-Identifier: Apache-2.0
-- Waiting for room in limits, on a clock that only events move.
local cell = require 'ccrelay.shared.cell'
local fake = require 'support.fake_c'
local json = require 'ccrelay.util.json'
local wait_lines = require 'ccrelay.routing.wait_lines'
local metrics = require 'ccrelay.log.metrics'
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

-- This answer to a request under way takes away the room that was expected.
local NO_LONGER = { status = 429, body = '{}', headers = { ['retry-after'] = '50' }, after = 55000 }

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

  it('an exchange is refused at once by default', function()
    local self = limited { routing = {} }
    assert.equal('200 200 429', statuses(self:requests({}, {}, { at = 1000 })))
    assert.is_true(fake.C.cc_now() - self.served[2].at < 2000)
    assert.is_nil(self:line().queued_ms)
  end)

  it('an exchange is refused at once when room comes too late', function()
    local self = limited { routing = { queue_ms = 30000 } }
    local _, _, third = self:requests({}, {}, { at = 1000 })
    assert.equal(429, third.answer.status)
    assert.is_true(fake.C.cc_now() - self.served[2].at < 2000)
    assert.is_true(tonumber(third.answer.headers['retry-after']) >= 29)
  end)

  it('an exchange is refused at once when those ahead take the room that comes in time', function()
    local self = limited({ routing = { queue_ms = MINUTE + 2000 } }, { key = 'sk-q', rpm_limit = 2 })
    local list = { self:requests({}, {}, { at = 10 }, { at = 20 }, { at = 30 }) }
    assert.equal('200 200 200 200 429', statuses(unpack(list)))
    assert.equal(30, list[5].over_at - list[1].at)
    assert.is_true(tonumber(list[5].answer.headers['retry-after']) >= 119)
  end)

  it('an exchange is refused at once when those ahead will use up the tokens', function()
    local self = limited({ routing = { queue_ms = MINUTE + 2000 } }, { key = 'sk-q', otpm_limit = 1000 })
    local function of(tokens) return { max_tokens = tokens } end
    local list = { self:requests({ body = of(900) }, { at = 10, body = of(500) }, { at = 20, body = of(700) },
      { at = 30, body = of(400) }) }
    assert.equal('200 200 429 200', statuses(unpack(list)))
    assert.equal(20, list[3].over_at - list[1].at)
  end)

  it('exchanges that wait for several keys count for one key each', function()
    local keys = {}
    for index = 1, 3 do keys[index] = { key = 'sk-' .. index, rpm_limit = 1 } end
    local self = limited { routing = { queue_ms = MINUTE + 2000 }, providers = { {
      name = stage.fresh('three'):gsub(' ', '-'), type = 'anthropic', base_url = 'http://q.test', keys = keys } } }
    local list = {}
    for index = 1, 7 do list[index] = { at = index * 10 } end
    list = { self:requests(unpack(list)) }
    assert.equal('200 200 200 200 200 200 429', statuses(unpack(list)))
    assert.is_true(list[7].over_at - list[7].at < 10)
    for index = 2, 6 do assert.is_true(list[index].tries[1].sent_at >= list[index - 1].tries[1].sent_at) end
  end)

  it('exchanges that wait for one class of models do not delay those of another', function()
    local self = limited({ routing = { queue_ms = MINUTE } }, { key = 'sk-q', rpm_limit = 60, burst = 1 })
    local opus, haiku = { model = 'claude-opus-4-5' }, { model = 'claude-haiku-4-5' }
    self.replies['q.test'] = { { status = 429, body = '{}', headers = { ['retry-after'] = '40' } }, { after = 10 } }
    local list = { { body = opus } }
    for index = 2, 4 do list[index] = { at = index * 10, body = opus } end
    for index = 5, 9 do list[index] = { at = index * 10, body = haiku } end
    list = { self:requests(unpack(list)) }
    assert.equal('429 200 200 200 200 200 200 200 200', statuses(unpack(list)))
    for index = 5, 9 do assert.is_true(list[index].over_at - list[index].at < 6000) end
    for index = 2, 4 do assert.is_true(list[index].over_at - list[index].at >= 39000) end
    assert.is_true(list[2].over_at < list[3].over_at and list[3].over_at < list[4].over_at)
  end)

  it('an exchange waits no longer than queue_ms', function()
    local self = limited({ routing = { queue_ms = MINUTE + 2000 } })
    self.replies['q.test'] = { { status = 200 }, NO_LONGER }
    local list = { self:requests({}, { at = 10 }, { at = 20 }) }
    assert.equal('200 429 429', statuses(unpack(list)))
    assert.equal(0, #list[3].tries)
    local waited = list[3].over_at - list[3].at
    assert.is_true(waited >= 50000 and waited <= MINUTE + 2000, waited)
  end)

  it('a new exchange does not take the room of those that wait', function()
    local self, list = limited({ routing = { queue_ms = 5000 } }, { key = 'sk-q', rpm_limit = 60, burst = 1 }), {}
    for index = 1, 4 do list[index] = { at = index * 10 } end
    for index = 5, 8 do list[index] = { at = (index - 3) * 1000 } end -- about when there is room for one
    list = { self:requests(unpack(list)) }
    for index = 2, 8 do
      assert.equal(200, list[index].answer.status)
      assert.is_true(list[index].tries[1].sent_at > list[index - 1].tries[1].sent_at)
    end
  end)

  it('a new exchange does not take the room of those in another worker, unless that was silent for a second', function()
    local self = limited({ routing = { queue_ms = 2 * MINUTE } }, { key = 'sk-q', rpm_limit = 60 })
    wait_lines.attach(1)
    finally(function() wait_lines.attach(0) end)
    assert.equal(200, self:request().status)
    local key, words, start = self.current.providers[1].keys[1], '1 59 0 0', fake.C.cc_now()
    local elsewhere = cell.number('queue 0 ' .. key.name)
    fake.C.cc_cell_write(elsewhere, words, #words)
    fake.C.cc_cell_set(elsewhere, start + 1000)
    fake.C.cc_cell_set(key.waited_for, start + 1000)
    fake.C.cc_cell_set(cell.number 'queue tickets', 1)
    assert.equal(200, self:request().status)
    local waited = self.served[2].at - start
    assert.is_true(waited >= 1000 and waited <= 1200, waited)
  end)

  it('exchanges go on in the order in which they came', function()
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

  it('exchanges with large estimates keep that order', function()
    local self = limited({ routing = { queue_ms = 2 * MINUTE } }, { key = 'sk-q', otpm_limit = 1000 })
    assert.equal('200 200', statuses(self:requests({ body = { max_tokens = 900 } },
      { at = 100, body = { max_tokens = 900 } })))
    assert.is_true(self.served[2].at - self.served[1].at >= MINUTE)
  end)

  it('an exchange gets the key that has room first', function()
    local self = limited { providers = { { name = stage.fresh('two'):gsub(' ', '-'), type = 'anthropic',
      base_url = 'http://q.test', keys = { { key = 'sk-1', otpm_limit = 1000, priority = 2 },
        { key = 'sk-2', otpm_limit = 1000 } } } } }
    local big = { max_tokens = 900 }
    assert.equal('200 200 200', statuses(self:requests({ body = big }, { at = 30000, body = big },
      { at = 31000, body = big })))
    assert.equal('sk-1', self.served[3].key)
    assert.is_true(self.served[3].at - self.served[2].at < 31500)
  end)

  it('an exchange that ends while it waits takes no room', function()
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

  it('an exchange waits no longer than its total time-out', function()
    local self = limited { server = { timeout_ms = 30000 } }
    local _, _, third = self:requests({}, {}, { at = 10 })
    assert.equal(429, third.answer.status)
    assert.is_true(fake.C.cc_now() - third.at < 30000)
  end)

  it('an exchange also waits for a key whose limit ends at a time that the provider has stated', function()
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

  it('an exchange does not wait for an open circuit', function()
    local self = stage.new {
      providers = { { name = 'a', type = 'anthropic', keys = { { key = 'sk-a' } } } },
      routing = { queue_ms = MINUTE },
      health = { circuit_breaker = { failure_threshold = 1, open_duration_ms = 5000 } },
    }
    self:reply('a', { error = 'CC_EREFUSED' })
    assert.equal(502, self:request().status)
    local before = fake.C.cc_now()
    assert.equal(502, self:request().status)
    assert.is_true(fake.C.cc_now() - before < 100)
  end)

  it('an exchange waits for a limit when the other provider has just failed', function()
    local slow = stage.fresh('slow'):gsub(' ', '-')
    local self = limited { routing = { queue_ms = 5000 }, providers = {
      { name = 'failing', type = 'anthropic', keys = { { key = 'sk-f', priority = 2 } } },
      { name = slow, type = 'anthropic', base_url = 'http://q.test', keys = { { key = 'sk-s', rpm_limit = 600,
        burst = 1 } } },
    } }
    self:reply('failing', { error = 'CC_EREFUSED' })
    local first, second = self:requests({}, { at = 2 })
    assert.equal('200 200', statuses(first, second))
    assert.equal(2, #second.tries)
    assert.is_true(self.served[2].at - self.served[1].at >= 99)
  end)

  it('it does so no longer than queue_ms, and not for a policy that selects another provider', function()
    for _, case in ipairs { { 50, 'relay.upstreams(exchange)', 'status=429', 1 },
      { 5000, 'relay.upstreams(exchange, { provider = "failing" })', 'status=502', 2 } } do
      local slow = stage.fresh('slow'):gsub(' ', '-')
      local self = limited { routing = { queue_ms = case[1] }, providers = {
        { name = 'failing', type = 'anthropic', keys = { { key = 'sk-f', priority = 2 } } },
        { name = slow, type = 'anthropic', base_url = 'http://q.test', keys = { { key = 'sk-s', rpm_limit = 600,
          burst = 1 } } },
      }, policy = "local relay = require 'ccrelay' return function(exchange) return exchange:first("
        .. case[2] .. ') end' }
      self:reply('failing', { error = 'CC_EREFUSED' })
      self:requests({}, { at = 2 })
      assert.equal(case[4], self:count(case[3]))
    end
  end)

  it('an exchange waits for a limit although the other provider is down', function()
    local self = limited { providers = {
      { name = 'down', type = 'anthropic', keys = { { key = 'sk-d', priority = 1 } } },
      { name = stage.fresh('up'):gsub(' ', '-'), type = 'anthropic', base_url = 'http://q.test',
        keys = { { key = 'sk-u', rpm_limit = 1, priority = 2 } } },
    }, health = { circuit_breaker = { failure_threshold = 1, open_duration_ms = 3000 } } }
    self:reply('down', { error = 'CC_EREFUSED' })
    local first, second, third = self:requests({}, { at = 10 }, { at = 20 })
    assert.equal('200 200 200', statuses(first, second, third))
    assert.equal('q.test', third.answer.origin)
    assert.is_true(self.served[2].at - self.served[1].at >= MINUTE)
  end)
end)

describe('a client that wants a stream', function()
  local wants, key = { stream = true }, { key = 'sk-q', rpm_limit = 1 }

  local function told(exchange)
    return json.decode(assert(exchange.answer.body:match '^event: error\ndata: (.*)\n\n$', exchange.answer.body))
  end

  it('gets a stream with pings after a wait of 15 s, and then the answer in it', function()
    local self = limited({}, key)
    local first, second = self:requests({ body = wants }, { at = 10, body = wants })
    assert.is_nil(first.answer.early)
    assert.equal('200 200', statuses(first, second))
    assert.equal(15000, second.answer.early - second.at)
    assert.equal('text/event-stream', second.answer.headers['content-type'])
    assert.is_truthy(second.answer.headers['request-id']:find '^req_ccr_')
    assert.equal(0, second.answer.attempt)
    assert.is_true(tonumber(self:line().queued_ms) >= 58000)
  end)

  it('gets no early stream in a shorter wait', function()
    local self = limited({}, { key = 'sk-q' })
    self.replies['q.test'] = { { status = 429, body = '{}', headers = { ['retry-after'] = '14' } }, { status = 200 } }
    local _, second = self:requests({ body = wants }, { at = 100, body = wants })
    assert.is_nil(second.answer.early)
    assert.equal(200, second.answer.status)
  end)

  it('is the only one that gets pings: others get none', function()
    local _, second = limited({}, key):requests({}, { at = 10 })
    assert.is_nil(second.answer.early)
    assert.equal(200, second.answer.status)
  end)

  it('gets an error if the wait was in vain', function()
    local self = limited({ routing = { queue_ms = MINUTE + 2000 } })
    local refusal = { status = 429, headers = NO_LONGER.headers, after = NO_LONGER.after,
      body = '{"message":"used up"}' }
    self.replies['q.test'] = { { status = 200 }, refusal }
    local _, _, third = self:requests({}, { at = 10 }, { at = 20, body = wants })
    local body = told(third)
    assert.equal('rate_limit_error', body.error.type)
    assert.equal('used up', body.error.message)
    assert.equal(third.answer.headers['request-id'], body.request_id)
    assert.equal(1, self:count 'status=200 .*error=limited')
  end)

  it('gets the refusal of the upstream in the upstream\'s words', function()
    local self = limited({}, key)
    local shaped = '{"type":"error","error":{"type":"invalid_request_error","message":"a b"}}'
    self.replies['q.test'] = { { status = 200 }, { status = 400, body = shaped } }
    local _, second = self:requests({}, { at = 10, body = wants })
    assert.same({ type = 'invalid_request_error', message = 'a b' }, told(second).error)
  end)

  it('is told that the upstream failed', function()
    local self = limited({}, key)
    self.replies['q.test'] = { { status = 200 }, { error = 'CC_EREFUSED' } }
    local _, second = self:requests({}, { at = 10, body = wants })
    assert.equal('api_error', told(second).error.type)
    assert.equal('CC_EREFUSED', self:line().error)
  end)

  it('is told that the upstream sent no stream', function()
    local self = limited({}, key)
    self.replies['q.test'] = { { status = 200 }, { status = 200, headers = { ['content-type'] = 'application/json' } } }
    local _, second = self:requests({}, { at = 10, body = wants })
    assert.is_truthy(told(second).error.message:find 'answered without a stream')
    assert.equal('no_stream', self:line().error)
  end)

  it('gets an error about a fault in the policy', function()
    local self = limited({ policy = [[
      local relay = require 'ccrelay'
      return function(exchange)
        local list = relay.upstreams(exchange)
        if exchange.stream then error 'oops' end
        return exchange:first(list)
      end
    ]] }, key)
    local _, second = self:requests({}, { at = 10, body = wants })
    assert.equal('api_error', told(second).error.type)
    assert.equal('script', self:line().error)
  end)

  local function answering(text)
    return [[
      local relay = require 'ccrelay'
      return function(exchange)
        local list = relay.upstreams(exchange)
        if exchange.stream then ]] .. text .. [[ end
        return exchange:first(list)
      end
    ]]
  end

  it('gets a policy\'s own stream in it', function()
    local own = [[return exchange:stream(function(writer) writer:write 'data: {}\n\n' end)]]
    local self = limited({ policy = answering(own) }, key)
    local _, second = self:requests({}, { at = 10, body = wants })
    assert.equal('data: {}\n\n', second.answer.body)
    assert.equal(15000, second.answer.early - second.at)
  end)

  it('gets a policy\'s own answer as an error', function()
    for _, case in ipairs {
      { '{ status = 418, body = "no\\ntea" }', 'invalid_request_error', 'no\ntea' },
      { '{ status = 200, body = { type = "message" } }', 'api_error',
        'the policy answered with status 200 after the stream had begun' },
    } do
      local self = limited({ policy = answering('return exchange:respond(' .. case[1] .. ')') }, key)
      local _, second = self:requests({}, { at = 10, body = wants })
      assert.same({ type = case[2], message = case[3] }, told(second).error)
    end
  end)
end)

describe('a policy', function()
  local function policy(text)
    return "local relay = require 'ccrelay'\nreturn function(exchange) " .. text .. ' end'
  end

  it('may decline to wait', function()
    local self = limited { policy = policy 'return exchange:first(relay.upstreams(exchange, { wait = false }))' }
    assert.equal('200 200 429', statuses(self:requests({}, {}, { at = 1000 })))
    assert.is_true(fake.C.cc_now() - self.served[2].at < 2000)
  end)

  it('waits once more when another exchange has taken the room', function()
    local self = limited({ policy = policy [[
      local list = relay.upstreams(exchange)
      exchange:sleep(100)
      return exchange:try(list[1])
    ]] }, { key = 'sk-q', rpm_limit = 1 })
    assert.equal('200 200', statuses(self:requests({}, { at = 10 })))
    assert.is_true(self.served[2].at - self.served[1].at >= MINUTE)
  end)

  it('runs under its script limits again after the wait', function()
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
