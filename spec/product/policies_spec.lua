-- SPDX-License-Identifier: Apache-2.0
-- The strategies in policies/: in which order each tries the same upstreams.
local stage = require 'support.stage'

local BUSY = { status = 529, body = '{}' }
local LIMITED = { status = 429, body = '{}', headers = { ['retry-after'] = '60' } }

local function provider(name, key, fields)
  key.key = 'sk-' .. name
  local settings = { name = name, type = 'anthropic', keys = { key } }
  for field, value in pairs(fields or {}) do settings[field] = value end
  return settings
end

local function using(strategy, providers, routing)
  routing = routing or {}
  routing.strategy = strategy
  return stage.new { routing = routing, providers = providers
    or { provider('a', {}), provider('b', {}), provider('c', {}) } }
end

local function count_of(name)
  return require('ccrelay.log.metrics').counters()[name]
end

local function hosts(exchange)
  local list = {}
  for index, attempt in ipairs(exchange.tries) do list[index] = attempt.origin.host:match '^%a+' end
  return table.concat(list)
end

local function go(self, count, request)
  local list = {}
  for index = 1, count do
    local _, exchange = self:request(request and { body = request })
    list[index] = hosts(exchange)
  end
  return table.concat(list, ' ')
end

local STRATEGIES = {
  'failover', 'round_robin', 'weighted_round_robin', 'shuffle', 'model_based', 'least_loaded', 'weighted_failover',
  'session_sticky', 'by_class', 'race', 'cheapest', 'budget',
}

for _, strategy in ipairs(STRATEGIES) do
  describe(strategy, function()
    it('tries all that fail, each once, and ends with the last answer', function()
      local self = using(strategy)
      for _, name in ipairs { 'a', 'b', 'c' } do self:reply(name, BUSY) end
      local answer, exchange = self:request()
      local tried = {}
      for name in hosts(exchange):gmatch '.' do tried[#tried + 1] = name end
      table.sort(tried)
      assert.same({ 'a', 'b', 'c' }, tried)
      assert.equal(529, answer.status)
    end)

    it('stops at an outcome that is not retryable', function()
      local self = using(strategy)
      for _, name in ipairs { 'a', 'b', 'c' } do self:reply(name, { status = 400, body = '{}' }) end
      assert.equal(1, #go(self, 1))
    end)

    it('answers when there is no candidate', function()
      local answer = using(strategy, { { name = 'z', type = 'zai', keys = {} } }):request()
      assert.equal(404, answer.status)
    end)

    it('has 10 to 40 lines', function()
      local _, lines = stage.read('policies/' .. strategy .. '.lua'):gsub('\n', '\n')
      assert.is_true(lines >= 10 and lines <= 40, lines)
    end)
  end)
end

describe('failover', function()
  it('tries the highest priority while it works, and comes back to it', function()
    local self = using('failover', { provider('a', { priority = 1 }), provider('b', { priority = 3 }),
      provider('c', { priority = 2 }) })
    assert.equal('b b', go(self, 2))
    self:reply('b', BUSY)
    assert.equal('bc bc bc', go(self, 3))
    self:reply('b', { status = 200 })
    assert.equal('c', go(self, 1))
    stage.advance(2100)
    assert.equal('b', go(self, 1))
  end)
end)

describe('failover with race_on_failure', function()
  local function four(strategy)
    local providers = {}
    for index, name in ipairs { 'a', 'b', 'c', 'd' } do providers[index] = provider(name, { priority = 9 - index }) end
    return using(strategy or 'failover', providers, { race_on_failure = true })
  end

  it('does not race while the first works', function()
    local self = four()
    self:reply('a', { status = 200, after = 4000 })
    assert.equal('a', go(self, 1))
  end)

  it('races the others two at a time once the first has failed', function()
    local self = four()
    self:reply('a', BUSY)
    self:reply('b', { status = 529, body = '{}', after = 50 })
    self:reply('c', { status = 200, body = 'slow', after = 900 })
    self:reply('d', { status = 200, body = 'quick', after = 100 })
    local answer, exchange = self:request()
    assert.equal('abcd', hosts(exchange))
    assert.equal('quick', answer.body)
    assert.is_true(exchange.tries[3].cancelled)
    assert.equal('151', self:line().total_ms)
  end)

  it('tries the only other one', function()
    local self = using('failover', { provider('a', { priority = 2 }), provider('b', {}) }, { race_on_failure = true })
    self:reply('a', BUSY)
    self:reply('b', { status = 200, body = 'good' })
    local answer, exchange = self:request()
    assert.equal('ab', hosts(exchange))
    assert.equal('good', answer.body)
  end)

  it('ends with the last answer when all fail', function()
    local self = four()
    for _, name in ipairs { 'a', 'b', 'c', 'd' } do self:reply(name, BUSY) end
    local answer, exchange = self:request()
    assert.equal('abcd', hosts(exchange))
    assert.equal(529, answer.status)
  end)
end)

describe('by_class', function()
  local classes = { auxiliary = 'small', compaction = 'middle' }
  local providers = { provider('a', { priority = 2 }, { models = { 'claude-*' } }),
    provider('b', {}, { type = 'zai', models = { 'small' } }),
    provider('c', {}, { type = 'zai', models = { 'middle' } }) }

  local function three()
    return using('by_class', providers, { classes = classes })
  end

  -- Who was tried, with the model of the last attempt.
  local function ask(self, class, model)
    local answer, exchange = self:request { headers = { ['x-claude-code-request-class'] = class },
      body = { model = model or 'claude-opus' } }
    return hosts(exchange) .. ' ' .. (exchange.tries[#exchange.tries].edits.model or 'as it came'), answer
  end

  local TITLE = 'claude-haiku-4-5'

  it('sends each class to its model, and other requests unchanged', function()
    local self = three()
    assert.equal('b "small"', (ask(self, 'auxiliary', TITLE)))
    assert.equal('c "middle"', (ask(self, 'compaction')))
    for _, class in ipairs { 'main', 'subagent', 'workflow', 'something', '' } do
      assert.equal('a as it came', (ask(self, class)))
    end
    assert.equal('a as it came', (ask(self, nil)))
  end)

  it('sends the request unchanged when that fails, whatever the reason', function()
    for _, status in ipairs { 400, 404, 529 } do
      local self = three()
      self:reply('b', { status = status, body = '{}' })
      self:reply('a', { status = 200, body = 'good' })
      local tried, answer = ask(self, 'auxiliary', TITLE)
      assert.equal('ba as it came', tried)
      assert.equal('good', answer.body)
      assert.equal(TITLE, self:line().model)
    end
  end)

  it('sends the request unchanged when no upstream has that model now', function()
    local self = three()
    self:reply('b', LIMITED)
    ask(self, 'auxiliary', TITLE)
    assert.equal('a as it came', (ask(self, 'auxiliary', TITLE)))
  end)

  it('reports the limit of the requested model, not the refusal of the other one', function()
    local self = three()
    self:reply('a', LIMITED)
    ask(self, 'main', TITLE)
    self:reply('b', { status = 400, body = '{}' })
    local tried, answer = ask(self, 'auxiliary', TITLE)
    assert.same({ 'b "small"', 429 }, { tried, answer.status })
  end)

  it('tries once when the request already has that model', function()
    local self = three()
    self:reply('b', { status = 400, body = '{}' })
    assert.equal('b as it came', (ask(self, 'auxiliary', 'small')))
  end)

  it('never sends the safety check of auto mode to a smaller model', function()
    for _, model in ipairs { 'claude-sonnet-5', 'claude-opus-5-5', 'glm-4.7' } do
      assert.equal('as it came', (ask(three(), 'auxiliary', model)):match '[ab] (.*)')
    end
  end)

  it('accepts any class, known or not', function()
    local self = using('by_class', providers, { classes = { side_reply = 'small', ['new-class'] = 'middle' } })
    assert.equal('b "small"', (ask(self, 'side_reply')))
    assert.equal('c "middle"', (ask(self, 'new-class')))
    assert.equal('a as it came', (ask(self, 'auxiliary')))
  end)

  it('ignores an empty name of a model', function()
    local _, faults = stage.build { routing = { strategy = 'by_class', classes = { auxiliary = '' } } }
    assert.is_truthy(faults:find('routing.classes.auxiliary: found an empty string', 1, true), faults)
  end)
end)

describe('round_robin', function()
  it('begins with the next upstream each time', function()
    local order = go(using 'round_robin', 6)
    assert.equal(order:sub(1, 5), order:sub(7))
    local seen = {}
    for name in order:gmatch '%a' do seen[name] = (seen[name] or 0) + 1 end
    assert.same({ a = 2, b = 2, c = 2 }, seen)
  end)

  it('shares its turn with other workers', function()
    local self = using 'round_robin'
    local first = go(self, 1)
    self:use { routing = { strategy = 'round_robin' }, providers = { provider('a', {}), provider('b', {}),
      provider('c', {}) } }
    assert.are_not.equal(first, go(self, 1))
  end)

  it('tries the others in order from there when that fails', function()
    local self = using 'round_robin'
    self:reply('b', BUSY)
    assert.is_truthy(go(self, 3):find 'bc')
  end)
end)

describe('weighted_round_robin', function()
  it('gives each upstream its share, evenly spread', function()
    local self = using('weighted_round_robin', { provider('a', { weight = 5 }), provider('b', { weight = 1 }),
      provider('c', { weight = 1 }) })
    assert.equal('a a b a c a a', go(self, 7))
    assert.equal('a a b a c a a', go(self, 7))
  end)

  it('uses weight 0 only when all others fail', function()
    local self = using('weighted_round_robin', { provider('a', { weight = 0 }), provider('b', { weight = 1 }) })
    assert.equal('b b b', go(self, 3))
    self:reply('b', BUSY)
    assert.equal('ba', go(self, 1))
  end)
end)

describe('shuffle', function()
  it('deals every upstream once before any comes again', function()
    local self, orders = using 'shuffle', {}
    for _ = 1, 12 do
      local hand = go(self, 3)
      orders[hand] = true
      local seen = {}
      for name in hand:gmatch '%a' do seen[name] = true end
      assert.same({ a = true, b = true, c = true }, seen)
    end
    local different = 0
    for _ in pairs(orders) do different = different + 1 end
    assert.is_true(different > 1)
  end)
end)

describe('model_based', function()
  local providers = { provider('a', {}), provider('b', {}), provider('c', {}) }
  local mapping = { ['claude'] = 'a', ['claude-opus'] = 'b' }

  it('chooses the provider by the longest prefix', function()
    local self = using('model_based', providers, { model_mapping = mapping, default_provider = 'c' })
    assert.equal('a', go(self, 1, { model = 'claude-haiku' }))
    assert.equal('b', go(self, 1, { model = 'claude-opus-5' }))
  end)

  it('sends other models to the default provider', function()
    local self = using('model_based', providers, { model_mapping = mapping, default_provider = 'c' })
    assert.equal('c', go(self, 1, { model = 'glm-4' }))
  end)

  it('tries no other provider when that one fails', function()
    local self = using('model_based', providers, { model_mapping = mapping, default_provider = 'c' })
    self:reply('a', BUSY)
    assert.equal('a', go(self, 1, { model = 'claude-haiku' }))
  end)

  it('uses that provider although only another one names the model', function()
    local self = using('model_based', { provider('a', {}), provider('b', {}, { model_mapping = { claude = 'x' } }) },
      { model_mapping = { claude = 'a' } })
    assert.equal('a', go(self, 1, { model = 'claude' }))
  end)

  it('tries all providers without a default', function()
    local self = using('model_based', providers)
    self:reply('a', BUSY)
    assert.equal('ab', go(self, 1, { model = 'glm' }))
  end)
end)

describe('least_loaded', function()
  local function two(more)
    return using('least_loaded', {
      provider('a', { rpm_limit = 10, priority = 5 }), provider('b', { rpm_limit = 20, priority = more or 1 }),
    })
  end

  it('tries the one with the largest free share, so that all fill evenly', function()
    local counts = { a = 0, b = 0 }
    for host in go(two(), 27):gmatch '%a' do counts[host] = counts[host] + 1 end
    assert.same({ a = 9, b = 18 }, counts)
  end)

  it('tries the higher priority among equals', function()
    assert.equal('a', go(two(), 1))
    assert.equal('b', go(two(9), 1))
  end)

  it('fails over', function()
    local self = two()
    self:reply('a', BUSY)
    assert.equal('ab', go(self, 1))
  end)
end)

describe('weighted_failover', function()
  local function three()
    return using('weighted_failover', {
      provider('a', { weight = 1, priority = 3 }), provider('b', { weight = 3, priority = 2 }),
      provider('c', { weight = 0, priority = 1 }),
    })
  end

  it('draws the first upstream by weight', function()
    local counts = { a = 0, b = 0, c = 0 }
    for host in go(three(), 400):gmatch '%a' do counts[host] = counts[host] + 1 end
    assert.equal(0, counts.c)
    assert.is_true(counts.a > 70 and counts.a < 130, counts.a)
  end)

  it('tries the others by priority', function()
    local self = three()
    self:reply('b', { error = 'CC_EREFUSED' })
    self:reply('a', { error = 'CC_EREFUSED' })
    local seen = {}
    for hosts_of in go(self, 4):gmatch '%a+' do seen[hosts_of] = true end
    for order in pairs(seen) do assert.is_true(order == 'abc' or order == 'bac', order) end
  end)

  it('is failover if all weights are 0', function()
    local self = using('weighted_failover', {
      provider('a', { weight = 0, priority = 1 }), provider('b', { weight = 0, priority = 2 }),
    })
    assert.equal('b b b', go(self, 3))
  end)
end)

describe('session_sticky', function()
  local function ask(self, session, fields)
    local _, exchange = self:request { headers = { ['x-claude-code-session-id'] = session }, body = fields or {} }
    return hosts(exchange)
  end

  it('keeps a conversation at one upstream', function()
    local self = using 'session_sticky'
    local first = ask(self, 'one')
    for _ = 1, 10 do assert.equal(first, ask(self, 'one')) end
  end)

  it('identifies a conversation by metadata if there is no header', function()
    local self = using 'session_sticky'
    local fields = { metadata = { user_id = '{"session_id":"x"}' } }
    local first = ask(self, nil, fields)
    for _ = 1, 10 do assert.equal(first, ask(self, nil, fields)) end
  end)

  it('spreads conversations by weight', function()
    local self = using('session_sticky', { provider('a', { weight = 3 }), provider('b', { weight = 1 }) })
    local count = 0
    for number = 1, 400 do count = count + (ask(self, 'session ' .. number) == 'a' and 1 or 0) end
    assert.is_true(count > 250 and count < 350, count)
  end)

  it('moves a conversation when its upstream fails, and does not move it back', function()
    local self = using 'session_sticky'
    local first = ask(self, 'one')
    self:reply(first, { error = 'CC_EREFUSED' }, {})
    local second = ask(self, 'one'):sub(2)
    assert.is_true(second ~= '' and second ~= first)
    for _ = 1, 5 do assert.equal(second, ask(self, 'one')) end
  end)

  it('keeps each model of a conversation at its own upstream', function()
    local self = using('session_sticky', { provider('a', {}, { models = { 'big', 'small' } }),
      provider('b', {}, { models = { 'big' } }), provider('c', {}, { models = { 'small' } }) })
    local first = ask(self, 'two', { model = 'big' })
    self:reply(first, { error = 'CC_EREFUSED' }, {})
    local second = ask(self, 'two', { model = 'big' }):sub(2)
    ask(self, 'two', { model = 'small' })
    for _ = 1, 3 do
      assert.equal(second, ask(self, 'two', { model = 'big' }))
      ask(self, 'two', { model = 'small' })
    end
  end)

  it('begins with the same upstream after a restart', function()
    local homes = {}
    for number = 1, 20 do homes[number] = ask(using 'session_sticky', 'session ' .. number) end
    local self = using 'session_sticky'
    for number = 1, 20 do assert.equal(homes[number], ask(self, 'session ' .. number)) end
  end)

  it('is failover for requests without a conversation', function()
    local self = using('session_sticky', { provider('a', { priority = 1 }), provider('b', { priority = 2 }) })
    assert.equal('b', ask(self, nil))
  end)
end)

describe('race', function()
  local STREAM = { stream = true }

  -- Two providers nobody has asked before, so that nothing has been learned of them.
  local function two(fields)
    local first, second = stage.fresh('a'):gsub(' ', ''), stage.fresh('b'):gsub(' ', '')
    fields = fields or {}
    fields.priority = 2
    local self = using('race', { provider(first, fields), provider(second, {}) }, { failover_timeout = 0 })
    return self, first, second
  end

  local function began(exchange)
    return exchange.tries[2] and 'both' or 'one', exchange.answer.origin:match '^%a+'
  end

  local function ask(self, body)
    local _, exchange = self:request { body = body or STREAM }
    return exchange
  end

  it('starts the second after 2 s while the latency is unknown', function()
    local self, a, b = two()
    self:reply(a, { after = 1900 })
    assert.same({ 'one', 'a' }, { began(ask(self)) })
    self:reply(a, { after = 2100 })
    self:reply(b, { after = 50 })
    assert.same({ 'both', 'b' }, { began(ask(self)) })
    self:reply(b, { after = 500 })
    assert.same({ 'both', 'a' }, { began(ask(self)) })
  end)

  it('starts the second after the latency that was learned', function()
    local self, a, b = two()
    self:reply(b, { after = 50 })
    self:reply(a, { after = 800 })
    for _ = 1, 20 do ask(self) end
    self:reply(a, { after = 700 })
    assert.equal('one', (began(ask(self))))
    self:reply(a, { after = 1000 })
    assert.same({ 'both', 'b' }, { began(ask(self)) })
  end)

  it('starts the second after at least 500 ms and at most 10 s', function()
    local self, a, b = two()
    self:reply(b, { after = 50 })
    self:reply(a, { after = 10 })
    for _ = 1, 20 do ask(self) end
    self:reply(a, { after = 490 })
    assert.equal('one', (began(ask(self))))
    self:reply(a, { after = 510 })
    assert.equal('both', (began(ask(self))))
    self, a, b = two()
    self:reply(b, { after = 60000 })
    self:reply(a, { after = 30000 })
    for _ = 1, 20 do ask(self) end
    self:reply(a, { after = 9900 })
    assert.equal('one', (began(ask(self))))
    self:reply(a, { after = 10100 })
    assert.equal('both', (began(ask(self))))
  end)

  it('learns no latency from attempts that were cancelled', function()
    local self, a, b = two()
    self:reply(b, { after = 1 })
    for number = 1, 300 do
      self:reply(a, { after = 1000 + number * 618 % 1000 })
      ask(self)
    end
    self:reply(a, { after = 1800 })
    assert.equal('one', (began(ask(self))))
  end)

  it('cancels the loser at once, and counts it', function()
    local self, a, b = two { rpm_limit = 2 }
    self:reply(a, { after = 60000 })
    self:reply(b, { after = 50 })
    local exchange = ask(self)
    assert.is_true(exchange.tries[1].cancelled)
    local line = self:line()
    assert.same({ a, '2', '2050' }, { line.raced:match '^(.-)/1$', line.attempts, line.total_ms })
    assert.same({ 1, 1 }, { count_of('attempts:' .. a), count_of('attempts:' .. b) })
    assert.equal(2, #ask(self).tries)
    assert.equal(b, ask(self).tries[1].origin.host:match '^[^.]+')
    assert.is_nil(self:line().raced)
  end)

  it('tries one after the other for a request without a stream', function()
    local self, a, b = two()
    self:reply(a, { after = 60000 })
    self:reply(b, { after = 1 })
    assert.same({ 'one', 'a' }, { began(ask(self, {})) })
    self:reply(a, BUSY)
    assert.same({ 'both', 'b' }, { began(ask(self, {})) })
  end)

  it('starts the second at once when the first fails', function()
    local self, a, b = two()
    self:reply(a, BUSY)
    self:reply(b, { after = 1 })
    assert.same({ 'both', 'b' }, { began(ask(self)) })
    assert.equal('2', self:line().total_ms)
  end)
end)

describe('cheapest', function()
  local providers = { provider('a', { priority = 3 }), provider('b', { priority = 2 }), provider('c', {}) }

  local function ask(prices, max_tokens, busy)
    local self = using('cheapest', providers, { prices = prices })
    for host in (busy or 'abc'):gmatch '.' do self:reply(host, BUSY) end
    return go(self, 1, { max_tokens = max_tokens or 100 })
  end

  local function price(input, output) return { input = input, output = output } end

  it('tries the cheapest first', function()
    local prices = { ['a/*'] = price(3, 3), ['b/*'] = price(2, 2), ['c/*'] = price(1, 1) }
    assert.equal('cba', ask(prices))
    assert.equal('c', ask(prices, 100, 'ab'))
  end)

  it('estimates input and output of this request', function()
    local prices = { ['a/*'] = price(1, 100), ['b/*'] = price(20, 20), ['c/*'] = price(50, 1) }
    assert.equal('abc', ask(prices, 1))
    assert.equal('cba', ask(prices, 1000))
  end)

  it('tries those without a price last, and the higher priority among equals', function()
    assert.equal('bca', ask { ['b/*'] = price(9, 9), ['c/*'] = price(9, 9) })
    assert.equal('abc', ask {})
    assert.equal('cab', ask { ['c/*'] = price(0, 0) })
  end)
end)

describe('budget', function()
  local PRICES = { ['claude-*'] = { input = 1, output = 5, cache_read = 0.1 } }
  local MILLION = { input = 1000000, output = 0 }

  local function shop(fields, routing)
    local name = stage.fresh('c'):gsub(' ', '')
    local client = { name = name, key = 'client-key', budget_per_day = fields and fields.budget_per_day }
    routing = routing or {}
    routing.strategy, routing.prices = 'budget', routing.prices or PRICES
    local self = stage.new { routing = routing, server = { auth = { clients = { client }, api_key = 'nameless' } },
      providers = { provider('a', { priority = 2 }), provider('b', {}) } }
    self:reply('a', { status = 200, usage = MILLION })
    return self, name
  end

  local function ask(self, key)
    local answer, exchange = self:request { headers = { ['x-api-key'] = key or 'client-key' } }
    return answer, #exchange.tries
  end

  local function to_midnight()
    return 86400000 - stage.C.cc_time() % 86400000
  end

  it('serves until the budget is spent, then refuses without an attempt', function()
    local self, name = shop { budget_per_day = 2 }
    stage.advance(to_midnight())
    stage.advance(3600000)
    assert.equal(200, ask(self).status)
    assert.equal(200, ask(self).status)
    local answer, tries = ask(self)
    assert.same({ 429, 0, 'false' }, { answer.status, tries, answer.headers['x-should-retry'] })
    local left = math.ceil(to_midnight() / 1000)
    assert.is_true(math.abs(tonumber(answer.headers['retry-after']) - left) <= 1, answer.headers['retry-after'])
    assert.same({ 'error', 'billing_error' }, { answer.json.type, answer.json.error.type })
    assert.equal(answer.headers['request-id'], answer.json.request_id)
    assert.equal('client "' .. name .. '" is over its daily budget (2 of 2); it resets at 00:00 UTC, '
      .. 'in 23 h 0 min', answer.json.error.message)
  end)

  it('starts again at midnight UTC', function()
    local self = shop { budget_per_day = 1 }
    ask(self)
    assert.equal(429, ask(self).status)
    stage.advance(to_midnight() - 10)
    assert.equal(429, ask(self).status)
    stage.advance(20)
    assert.equal(200, ask(self).status)
  end)

  it('uses routing.budget_per_day for clients without their own, and one budget for all without a name', function()
    local self = shop({}, { budget_per_day = 1 })
    ask(self)
    assert.equal(429, ask(self).status)
    assert.equal(200, ask(self, 'nameless').status)
    local answer = ask(self, 'nameless')
    assert.equal(429, answer.status)
    assert.is_truthy(answer.json.error.message:find '^this relay is over its daily budget')
  end)

  it('limits nothing without a budget', function()
    local self = shop { budget_per_day = 0 }
    for _ = 1, 5 do assert.equal(200, ask(self).status) end
  end)

  it('keeps the amount over a reload', function()
    local self, name = shop { budget_per_day = 1 }
    ask(self)
    self:use { routing = { strategy = 'budget', prices = PRICES }, server = { auth = { clients = {
      { name = name, key = 'client-key', budget_per_day = 1.5 } } } }, providers = { provider('a', {}) } }
    assert.equal(200, ask(self).status)
    assert.equal(429, ask(self).status)
  end)

  it('counts no errors, and logs what it cannot count', function()
    local self = shop { budget_per_day = 1 }
    self:reply('a', { status = 400, body = '{"type":"error","error":{"type":"invalid_request_error","message":"x"}}' })
    for _ = 1, 3 do assert.equal(400, ask(self).status) end
    self:reply('a', { status = 200, usage = { input = 100000, output = 0 } })
    assert.equal(200, ask(self).status)
    assert.equal(0, self:count 'not counted')
    self:reply('a', { status = 200 })
    assert.equal(200, ask(self).status)
    assert.equal(1, self:count 'warn .*the cost of exchange %w+ at a/1 is unknown and not counted')
  end)

  it('is failover', function()
    local self = shop { budget_per_day = 1 }
    self:reply('a', BUSY)
    self:reply('b', { status = 200, usage = MILLION })
    local answer, tries = ask(self)
    assert.same({ 200, 2 }, { answer.status, tries })
    assert.equal(429, ask(self).status)
  end)
end)
