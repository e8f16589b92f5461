-- SPDX-License-Identifier: Apache-2.0
local stage = require 'support.stage'

local GOOD = { status = 200, body = '{"type":"message"}' }
local BUSY = { status = 529, body = '{"type":"error","error":{"type":"overloaded_error","message":"Overloaded"}}' }

local function provider(name, fields)
  local settings = { name = name, type = 'anthropic', keys = { { key = 'sk-' .. name } } }
  for key, value in pairs(fields or {}) do settings[key] = value end
  return settings
end

local function three(options)
  options = options or {}
  options.providers = { provider 'a', provider 'b', provider 'c' }
  return stage.new(options)
end

local function hosts(exchange)
  local list = {}
  for index, attempt in ipairs(exchange.tries) do list[index] = attempt.origin.host:match '^%a+' end
  return table.concat(list, ' ')
end

local function policy(words)
  return "local relay = require 'ccrelay'\nreturn function(exchange)\nlocal list = relay.upstreams(exchange)\n"
    .. words .. '\nend'
end

describe('a try', function()
  it('sends what the client sent, with the relay\'s key', function()
    local self = stage.new()
    local _, exchange = self:request { path = '/v1/messages?beta=true', headers = { ['x-api-key'] = nil } }
    local attempt = exchange.tries[1]
    assert.equal('/v1/messages?beta=true', attempt.target)
    assert.is_true(attempt.passes)
    assert.same({ ['x-api-key'] = 'sk-one' }, attempt.headers)
    assert.same({}, attempt.edits)
    assert.equal(0, attempt.framing)
    assert.is_false(attempt.stream)
  end)

  for _, strategy in ipairs { 'failover', 'race', 'session_sticky', 'round_robin' } do
    it('that was given up early for others is repeated with all the time when those fail: ' .. strategy, function()
      local self = stage.new { providers = { provider 'a', provider 'b' },
        routing = { failover_timeout = 700, strategy = strategy }, server = { timeout_ms = 9000 } }
      local list = { { error = 'CC_EHEAD_TIMEOUT', after = 700 }, GOOD }
      self:reply('a', unpack(list))
      self:reply('b', BUSY)
      local answer, exchange = self:request { body = { stream = true } }
      if hosts(exchange) == 'b a' then return assert.equal(9000, exchange.tries[2].head_ms) end
      assert.equal(200, answer.status)
      assert.equal('a b a', hosts(exchange))
      assert.same({ 700, 9000, 9000 }, { exchange.tries[1].head_ms, exchange.tries[2].head_ms,
        exchange.tries[3].head_ms })
    end)
  end

  it('that was given up early tells nothing when its repetition fails too', function()
    local self = three()
    self:reply('a', { error = 'CC_EHEAD_TIMEOUT', after = 5000 }, { status = 500, body = '{"message":"no"}' })
    self:reply('b', { error = 'CC_EREFUSED' })
    self:reply('c', { error = 'CC_EREFUSED' })
    assert.equal(500, self:request().status)
  end)

  it('puts the path of the base address first', function()
    local self = stage.new { providers = { provider('a', { base_url = 'http://a.test:81/deep/' }) } }
    local _, exchange = self:request()
    assert.equal('/deep/v1/messages', exchange.tries[1].target)
    assert.equal(81, exchange.tries[1].origin.port)
  end)

  it('has the time of failover_timeout while another candidate remains, then that of the exchange', function()
    local self = three { routing = { failover_timeout = 700 }, server = { timeout_ms = 9000 } }
    self:reply('a', BUSY)
    self:reply('b', BUSY)
    local _, exchange = self:request()
    assert.equal(700, exchange.tries[1].head_ms)
    assert.equal(700, exchange.tries[2].head_ms)
    assert.equal(9000, exchange.tries[3].head_ms)
    assert.same({ false, false, true }, { exchange.tries[1].gate_opens, exchange.tries[2].gate_opens,
      exchange.tries[3].gate_opens })
  end)

  it('counts only untried candidates as remaining', function()
    local self = three { policy = policy 'exchange:try(list[3]) exchange:try(list[2]) return exchange:try(list[1])',
      routing = { failover_timeout = 700 }, server = { timeout_ms = 9000 } }
    local _, exchange = self:request()
    assert.same({ 700, 700, 9000 }, { exchange.tries[1].head_ms, exchange.tries[2].head_ms, exchange.tries[3].head_ms })
  end)

  it('has the whole time when failover_timeout is off', function()
    local self = three { routing = { failover_timeout = 0 }, server = { timeout_ms = 9000 } }
    local _, exchange = self:request()
    assert.equal(9000, exchange.tries[1].head_ms)
  end)

  it('goes on to the next when no head comes in time', function()
    local self = three()
    self:reply('a', { after = 60000 })
    local answer, exchange = self:request { body = { stream = true } }
    assert.equal('a b', hosts(exchange))
    assert.equal('b.test', answer.origin)
  end)

  it('uses the policy\'s gate', function()
    local text = 'return { route = function(exchange) '
      .. "return exchange:first(require('ccrelay').upstreams(exchange)) end, "
      .. 'gate = { bytes = 100, ms = 200 } }'
    local self = stage.new { policy = text }
    local _, exchange = self:request()
    assert.equal(100, exchange.tries[1].gate_bytes)
    assert.equal(200, exchange.tries[1].gate_ms)
    _, exchange = stage.new():request()
    assert.equal(65536, exchange.tries[1].gate_bytes)
    assert.equal(10000, exchange.tries[1].gate_ms)
  end)

  it('takes nothing but an upstream', function()
    for _, words in ipairs { 'exchange:try("a")', 'exchange:try(nil)', 'exchange:try({ provider = "a" })' } do
      local self = stage.new { policy = policy('return ' .. words) }
      local answer, exchange = self:request()
      assert.equal(500, answer.status)
      assert.equal(0, #exchange.tries)
    end
  end)

  it('ends without a word when the client goes', function()
    local self = stage.new()
    self:reply('one', { after = 5000 })
    local exchange = self:requests { gone_after = 100 }
    assert.equal(1, #exchange.tries)
    assert.is_nil(exchange.answer)
    assert.equal(0, self:count 'script error')
    assert.equal(1, self:count ' exchange ')
    assert.equal('CC_ECLIENT_GONE', self:line().error)
  end)

  it('is answered once when the client has gone unseen', function()
    local self = three()
    self:reply('a', BUSY)
    local exchange = self:requests { gone_after = 1 }
    assert.is_true(exchange.over)
    assert.equal(0, self:count 'script error')
    assert.equal(1, self:count ' exchange ')
  end)

  it('that cannot be sent to its address is an outcome, and the next is tried', function()
    local self = stage.new { providers = { provider('a', { base_url = 'http://nowhere.test' }), provider 'b' } }
    local answer, exchange = self:request()
    assert.equal('b', hosts(exchange))
    assert.equal(200, answer.status)
    self = stage.new { providers = { provider('a', { base_url = 'http://nowhere.test' }) } }
    assert.equal(502, self:request().status)
  end)
end)

describe('first', function()
  it('goes on while outcomes are retryable', function()
    local self = three { policy = policy 'return exchange:first(list)' }
    self:reply('a', BUSY)
    self:reply('b', { status = 400, body = '{}' })
    local answer, exchange = self:request()
    assert.equal('a b', hosts(exchange))
    assert.equal(529, answer.status)
  end)

  it('bounds every try of its own list but the last', function()
    local self = three { policy = policy 'return exchange:first({ list[1], list[2] })', server = { timeout_ms = 9000 } }
    self:reply('a', BUSY)
    local _, exchange = self:request()
    assert.same({ 5000, 9000 }, { exchange.tries[1].head_ms, exchange.tries[2].head_ms })
  end)

  it('refuses what is no upstream, with words', function()
    for _, action in ipairs { 'first', 'race' } do
      local self = three { policy = policy('return exchange:' .. action .. '({ list[1], "b" })') }
      assert.equal(500, self:request().status)
      assert.equal(1, self:count('exchange:' .. action .. ' takes upstreams of relay.upstreams%(exchange%)'))
    end
  end)

  it('of nothing is nothing, which becomes the answer for no candidate', function()
    local self = stage.new { policy = policy 'return exchange:first({})' }
    assert.equal(500, self:request().status)
    self = stage.new { policy = policy 'return exchange:first(list)', providers = { { name = 'z', type = 'zai' } } }
    assert.equal(404, self:request().status)
  end)
end)

describe('a race', function()
  local function race(after) return policy('return exchange:race(list, { after_ms = ' .. after .. ' })') end

  it('starts the second after its time, and the first good answer wins', function()
    local self = three { policy = race(100) }
    self:reply('a', { status = 200, body = 'slow', after = 5000 })
    self:reply('b', { status = 200, body = 'quick', after = 50 })
    local answer, exchange = self:request()
    assert.equal('a b', hosts(exchange))
    assert.equal('quick', answer.body)
    assert.is_true(exchange.tries[1].cancelled)
    assert.equal('150', self:line().total_ms)
  end)

  it('needs no second when the first is quick', function()
    local self = three { policy = race(100) }
    self:reply('a', { status = 200, body = 'quick', after = 50 })
    local answer, exchange = self:request()
    assert.equal('a', hosts(exchange))
    assert.equal('quick', answer.body)
  end)

  it('starts the second at once when the first fails', function()
    local self = three { policy = race(10000) }
    self:reply('a', BUSY)
    local _, exchange = self:request()
    assert.equal('a b', hosts(exchange))
    assert.equal('2', self:line().total_ms)
  end)

  it('has at most two under way, and uses the whole list', function()
    local self = three { policy = race(10) }
    self:reply('a', { status = 529, body = BUSY.body, after = 50 })
    self:reply('b', { status = 529, body = BUSY.body, after = 100 })
    self:reply('c', { status = 200, body = 'good', after = 100 })
    local answer, exchange = self:request()
    assert.equal('a b c', hosts(exchange))
    assert.equal('good', answer.body)
    assert.equal('150', self:line().total_ms)
  end)

  it('ends with the last failure when all fail', function()
    local self = three { policy = race(10) }
    for _, name in ipairs { 'a', 'b', 'c' } do self:reply(name, BUSY) end
    local answer, exchange = self:request()
    assert.equal('a b c', hosts(exchange))
    assert.equal(529, answer.status)
  end)

  local BAD = { status = 400, body = '{"type":"error","error":{"type":"invalid_request_error","message":"bad x"}}' }

  it('is not lost to a client error of the other', function()
    local self = three { policy = race(10) }
    self:reply('a', { status = 200, body = 'slow', after = 500 })
    self:reply('b', BAD)
    local answer, exchange = self:request()
    assert.equal('a b', hosts(exchange))
    assert.equal('slow', answer.body)
  end)

  it('ends with a client error when nothing is better, and starts no more for it', function()
    local self = three { policy = race(10) }
    self:reply('a', { status = 529, body = BUSY.body, after = 500 })
    self:reply('b', BAD)
    local answer, exchange = self:request()
    assert.equal('a b', hosts(exchange))
    assert.equal(400, answer.status)
    self = three { policy = race(10) }
    self:reply('a', BAD)
    answer, exchange = self:request()
    assert.equal('a', hosts(exchange))
    assert.equal(400, answer.status)
  end)

  it('starts two at once without a time', function()
    local self = three { policy = policy 'return exchange:race(list)' }
    self:reply('a', { after = 100, status = 200, body = 'a' })
    self:reply('b', { after = 90, status = 200, body = 'b' })
    local answer = self:request()
    assert.equal('b', answer.body)
  end)
end)

describe('an exchange', function()
  local function keys(count)
    local list = {}
    for index = 1, count do list[index] = { key = 'sk-' .. index } end
    return { { name = 'many', type = 'anthropic', keys = list } }
  end

  it('makes 64 attempts at most, and then goes on with what came last', function()
    local self = three { policy = policy 'local o for _ = 1, 90 do o = exchange:try(list[1]) end return o',
      health = { circuit_breaker = { failure_threshold = 1000 } } }
    self:reply('a', { status = 503, body = '{}' })
    local answer, exchange = self:request()
    assert.equal(503, answer.status)
    assert.equal(64, #exchange.tries)
  end)

  it('does not go on for ever', function()
    local self = three { policy = policy 'local o repeat o = exchange:try(list[1]) until o.ok return o',
      health = { circuit_breaker = { failure_threshold = 1000 } } }
    self:reply('a', { status = 503, body = '{}' })
    local answer, exchange = self:request()
    assert.equal(500, answer.status)
    assert.equal(64, #exchange.tries)
    assert.equal(1, self:count 'may make 64 attempts at most')
  end)

  it('that goes through more keys ends with the last answer', function()
    for _, call in ipairs { 'first(list)', 'race(list, { after_ms = 10 })' } do
      local self = stage.new { providers = keys(80), policy = policy('return exchange:' .. call) }
      self:reply('many', { status = 401, body = '{}' })
      local answer, exchange = self:request()
      assert.equal(401, answer.status)
      assert.equal(64, #exchange.tries)
    end
    for _, strategy in ipairs { 'failover', 'by_class', 'race', 'session_sticky' } do
      local self = stage.new { providers = keys(80), routing = { strategy = strategy } }
      self:reply('many', { status = 401, body = '{}' })
      assert.equal(401, self:request().status)
    end
  end)
end)

describe('returning an outcome', function()
  it('of an attempt that had to make room works when it was a failure', function()
    local self = three { policy = policy
      'local first = exchange:try(list[1]) exchange:try(list[2]) exchange:try(list[3]) return first' }
    self:reply('a', { status = 400,
      body = '{"type":"error","error":{"type":"invalid_request_error","message":"bad x"}}' })
    self:reply('b', BUSY)
    self:reply('c', BUSY)
    local answer = self:request()
    assert.equal(400, answer.status)
    assert.equal('bad x', answer.json.error.message)
  end)

  it('that was given up is a fault', function()
    local self = three { policy = policy
      'local first = exchange:try(list[1]) exchange:try(list[2]) exchange:try(list[3]) return first' }
    self:reply('a', GOOD)
    local answer = self:request()
    assert.equal(500, answer.status)
    assert.equal(1, self:count 'outcome that was given up')
  end)

  for what, words in pairs {
    ['a number'] = 'return 0/0', ['a text'] = 'return "outcome"', ['a table'] = 'return { ok = true, status = 200 }',
    ['nothing, though there were candidates'] = 'return nil',
  } do
    it('is expected, not ' .. what, function()
      local self = stage.new { policy = policy(words) }
      local answer = self:request()
      assert.equal(500, answer.status)
      assert.equal('api_error', answer.json.error.type)
      assert.equal(1, self:count 'expected an outcome')
    end)
  end
end)
