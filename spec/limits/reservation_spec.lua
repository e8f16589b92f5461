-- SPDX-License-Identifier: Apache-2.0
-- What limits are booked for: what a request will take of them, and what it has taken.
local fake = require 'support.fake_c'
local token_estimate = require 'ccrelay.limits.token_estimate'
local stage = require 'support.stage'

local C = fake.C

local function fresh(name) return (stage.fresh(name):gsub(' ', '-')) end

-- A stage with one key; its name is new, so that what others have learned is of no account.
local function single(key, options)
  options = options or {}
  local name = fresh 'booking'
  key.key = key.key or 'sk-' .. name
  local first = { name = name, type = 'anthropic', base_url = 'http://b.test', keys = { key } }
  options.providers = { first, options.beside }
  options.beside = nil
  local self = stage.new(options)
  function self.answers(_, ...) self.replies['b.test'] = { ... } end
  return self
end

-- The same before another provider, whose answers have status 203.
local function preferred(key, options)
  options = options or {}
  key.priority = 2
  options.beside = { name = fresh 'beside', type = 'anthropic', base_url = 'http://beside.test',
    keys = { { key = 'sk-beside' } } }
  local self = single(key, options)
  self.replies['beside.test'] = { { status = 203 } }
  return self
end

local function statuses(self, count, request, pause)
  local list = {}
  for index = 1, count do
    local copy = {}
    for name, value in pairs(request or {}) do copy[name] = value end
    list[index] = self:request(copy).status
    if pause then stage.advance(pause) end
  end
  return table.concat(list, ' ')
end

local function in_seconds(seconds)
  return os.date('!%Y-%m-%dT%H:%M:%SZ', math.floor(C.cc_time() / 1000) + seconds)
end

local function told(kind, limit, remaining, reset)
  local prefix = 'anthropic-ratelimit-' .. kind
  return { [prefix .. '-limit'] = tostring(limit), [prefix .. '-remaining'] = tostring(remaining),
    [prefix .. '-reset'] = reset }
end

local MARK = { { type = 'text', text = 'x', cache_control = { type = 'ephemeral' } } }
local CACHED = { input = 500, output = 50, cache_read = 60000 }

-- A request of 60,000 tokens in a conversation.
local function turn_of(session, model, more)
  local body = { model = model or 'cached-1', system = MARK, x = ('y'):rep(240000) }
  for name, value in pairs(more or {}) do body[name] = value end
  return { body = body, headers = { ['x-claude-code-session-id'] = session } }
end

describe('the cached part of a conversation', function()
  it('does not count towards a learned limit', function()
    local self = single {}
    self:answers { usage = CACHED, headers = told('input-tokens', 50000, 49000, in_seconds(2)) }
    assert.equal('200 200 200 200', statuses(self, 4, turn_of(fresh 'session'), 5000))
  end)

  it('does not count towards a client\'s limit', function()
    local self = single({}, { server = { auth = { clients = { { name = fresh 'client', key = 'alice',
      tpm_limit = 65000 } } } } })
    self:answers { usage = CACHED }
    local request = turn_of(fresh 'session')
    request.headers['x-api-key'] = 'alice'
    assert.equal('200 200 200', statuses(self, 3, request, 5000))
  end)

  it('is that of the last answer, for the same model and organisation, until it expires', function()
    local self = single { itpm_limit = 60300 }
    self:answers { usage = CACHED }
    local session = fresh 'session'
    assert.equal('200 200', statuses(self, 2, turn_of(session, 'cached-2'), 100))
    stage.advance(61000)
    assert.equal(200, self:request(turn_of(session, 'cached-2')).status)
    assert.equal(429, self:request(turn_of(session, 'cached-3')).status)
    stage.advance(301000)
    self:request {}
    assert.equal(429, self:request(turn_of(session, 'cached-2')).status)
  end)

  it('is counted where the provider counts it', function()
    local self = single { itpm_limit = 61000 }
    self:answers { usage = CACHED }
    assert.equal('200 429', statuses(self, 2, turn_of(fresh 'session', 'claude-3-5-haiku-20241022'), 100))
  end)

  it('is estimated for a request without a conversation, if the limit was only learned', function()
    local self = preferred {}
    self:answers({ usage = CACHED, headers = told('input-tokens', 61000, 60000, in_seconds(50)) }, { usage = CACHED })
    local request = turn_of(nil, 'cached-4')
    assert.equal('200 200 200', statuses(self, 3, request, 100))
    request.body.system = nil
    assert.equal(203, self:request(request).status)
    self = single { itpm_limit = 61000 }
    self:answers { usage = CACHED }
    assert.equal('200 429', statuses(self, 2, turn_of(nil, 'cached-4'), 100))
  end)

  it('is 0 for another prompt in the same session, and for another agent', function()
    local session = fresh 'session'
    local self = single { itpm_limit = 70000 }
    self:answers({ usage = { input = 100, output = 5, cache_5m = 60000 } }, { usage = { input = 20000, output = 5 } })
    assert.equal(200, self:request(turn_of(session)).status)
    local function small(agent)
      local request = turn_of(session, nil, { x = ('y'):rep(80000) })
      request.headers['x-claude-code-agent-id'] = agent
      return request
    end
    assert.equal(429, self:request(small()).status)
    local large = turn_of(session)
    large.headers['x-claude-code-agent-id'] = 'a1'
    assert.equal(429, self:request(large).status)
  end)

  it('is looked up once if the request names no conversation', function()
    local keys = {}
    for index = 1, 30 do keys[index] = { key = 'k' .. index } end
    local self = stage.new { providers = { { name = fresh 'many', type = 'anthropic', keys = keys } } }
    local asked, field = 0, rawget(C, 'cc_request_field')
    C.cc_request_field = function(...) asked = asked + 1 return field(...) end
    self:request(turn_of(nil, 'cached-5'))
    C.cc_request_field = field
    assert.equal(1, asked)
  end)
end)

describe('a check of a key', function()
  it('reserves nothing of the remainder that the provider stated', function()
    for _, queue_ms in ipairs { 0, 5 } do
      local self = preferred({}, { routing = { queue_ms = queue_ms } })
      self:answers({ headers = told('requests', 1000, 6, in_seconds(50)) }, { status = 200 })
      assert.equal('200 200 200 200 200 200 200 203', statuses(self, 8))
    end
  end)
end)

describe('the remainder that the provider stated', function()
  it('is 0 only until the retry-after of a 429, though the reset is later', function()
    local self = single {}
    local headers = told('requests', 50, 0, in_seconds(58))
    headers['retry-after'] = '2'
    self:answers({ status = 429, body = '{}', headers = headers }, { status = 200 })
    assert.equal('429 200', statuses(self, 2, nil, 3000))
  end)

  it('leaves a key out only while others can serve: the provider itself refuses if it has to', function()
    local self = single {}
    self:answers({ headers = told('requests', 50, 0, in_seconds(50)) }, { status = 200 })
    assert.equal('200 200', statuses(self, 2))
  end)

  it('is timed by the provider\'s clock', function()
    for _, ahead in ipairs { 600, -600 } do
      local self = preferred {}
      local headers = told('requests', 50, 0, in_seconds(ahead + 5))
      headers.date = os.date('!%a, %d %b %Y %H:%M:%S GMT', math.floor(C.cc_time() / 1000) + ahead)
      self:answers({ headers = headers }, { status = 200 })
      assert.equal('200 203', statuses(self, 2))
      stage.advance(6500)
      assert.equal('200', statuses(self, 1))
    end
  end)

  it('is the stated number, not the estimate', function()
    local self, reset, remaining = single {}, in_seconds(55), 100000
    self:answers(function()
      remaining = remaining - 2000
      return { usage = { input = 2000, output = 10 }, headers = told('input-tokens', 100000, remaining, reset) }
    end)
    assert.equal('200 200 200 200 200', statuses(self, 5, { body = { x = ('y'):rep(160000) } }))
  end)

  it('is not reduced by connections that failed', function()
    local self = preferred({}, { health = { circuit_breaker = { failure_threshold = 100 } } })
    self:answers({ headers = told('requests', 1000, 3, in_seconds(1800)) }, { error = 'CC_EREFUSED' },
      { error = 'CC_EREFUSED' }, { error = 'CC_EREFUSED' }, { status = 200 })
    assert.equal('200 203 203 203 200 200 200 203', statuses(self, 8))
  end)
end)

describe('with a model of which nothing is known', function()
  local SLOW = { after = 30000, usage = { input = 10, output = 100 } }

  local function stranger(most, more)
    local body = { model = fresh 'stranger', max_tokens = most }
    for name, value in pairs(more or {}) do body[name] = value end
    return body
  end

  -- What becomes of requests that come together, sorted, and the exchanges.
  local function together(self, count, body)
    local list, got = {}, {}
    for index = 1, count do list[index] = { body = body } end
    list = { self:requests(unpack(list)) }
    for index, exchange in ipairs(list) do got[index] = exchange.answer.status end
    table.sort(got)
    return table.concat(got, ' '), list
  end

  it('all first requests are sent at once if there is room', function()
    for _, kind in ipairs { 'tpm_limit', 'itpm_limit', 'otpm_limit' } do
      local self = single { [kind] = 100000000 }
      self:answers(SLOW)
      assert.equal(('200 '):rep(40):sub(1, -2), (together(self, 40, stranger(32000, { x = ('y'):rep(100000) }))))
    end
  end)

  it('max_tokens are reserved, and from the first answer on the length of answers', function()
    for _, kind in ipairs { 'tpm_limit', 'otpm_limit' } do
      local self, body = single { [kind] = 20000 }, stranger(9000)
      self:answers(SLOW)
      local got, list = together(self, 3, body)
      assert.equal('200 200 429', got)
      assert.equal('1', list[3].answer.headers['retry-after'])
      assert.equal('200 200 200', (together(self, 3, body)))
    end
  end)

  it('half of the bytes are reserved as input, and from the first answer on what the provider counted', function()
    local self, body = single { itpm_limit = 52000 }, stranger(10, { x = ('y'):rep(40000) })
    self:answers { after = 30000, usage = { input = 10000, output = 10 } }
    assert.equal('200 200 429', (together(self, 3, body)))
    assert.equal('200 200 200 429', (together(self, 4, body)))
  end)

  it('one request above the whole limit is sent, but not two at once', function()
    for _, kind in ipairs { 'tpm_limit', 'otpm_limit' } do
      local self, body = single { [kind] = 10000 }, stranger(128000)
      self:answers(SLOW)
      local got, list = together(self, 2, body)
      assert.equal('200 429', got)
      assert.equal('1', list[2].answer.headers['retry-after'])
      assert.equal('200 200 200', (together(self, 3, body)))
    end
  end)

  it('such a request does not wait for an empty minute', function()
    local self = single { tpm_limit = 10000 }
    self:answers { usage = { input = 3000, output = 100 } }
    assert.equal(200, self:request { body = { model = fresh 'known' } }.status)
    assert.equal(200, self:request { body = stranger(128000) }.status)
  end)

  it('a client is told when requests, not tokens, have room', function()
    local self = single { rpm_limit = 1, tpm_limit = 20000 }
    self:answers(SLOW)
    local _, list = together(self, 2, stranger(100))
    assert.is_true(tonumber(list[2].answer.headers['retry-after']) >= 30)
  end)

  it('queued requests go on with the first answer', function()
    local self = single({ otpm_limit = 20000 }, { routing = { queue_ms = 60000 } })
    self:answers { after = 5000, usage = { input = 1, output = 100 } }
    local got, list = together(self, 6, stranger(15000))
    assert.equal('200 200 200 200 200 200', got)
    assert.is_true(C.cc_now() - list[1].at < 30000)
  end)

  it('a failure, a client that disconnects and an answer without usage make no request wait', function()
    local big = { body = stranger(128000) }
    local self = single { otpm_limit = 10000 }
    self:answers({ status = 500, body = '{}' }, { after = 5000 }, { status = 200 })
    assert.equal('500 200 200 200', statuses(self, 4, big))
    self, big = single { otpm_limit = 10000 }, stranger(128000)
    self:answers({ hang = true }, { hang = true }, { error = 'CC_ERESET' }, { status = 200 })
    local _, _, third = self:requests({ body = big, gone_after = 100 }, { at = 200, body = big, gone_after = 100 },
      { at = 400, body = big })
    assert.equal(502, third.answer.status)
    assert.equal(200, self:request({ body = big }).status)
  end)

  it('a client\'s limit works in the same way', function()
    local self = single({}, { server = { auth = { clients = { { name = fresh 'client', key = 'alice',
      tpm_limit = 10000 } } } } })
    self:answers(SLOW)
    local request = { body = stranger(128000), headers = { ['x-api-key'] = 'alice' } }
    local first, second = self:requests(request, { body = request.body, headers = request.headers })
    assert.equal('200 429', first.answer.status .. ' ' .. second.answer.status)
    assert.equal('1', second.answer.headers['retry-after'])
    assert.equal('200 200', statuses(self, 2, request))
  end)
end)

describe('output', function()
  it('is reserved in part if the limit was only learned', function()
    local self = single {}
    self:answers({ headers = told('output-tokens', 8000, 7000, in_seconds(50)) }, { status = 200 })
    assert.equal('200 200 200 200', statuses(self, 4, { body = { model = 'told-stranger', max_tokens = 32000 } }))
  end)

  it('is reserved by the length of the model\'s answers', function()
    local self = single { otpm_limit = 20000 }
    token_estimate.learn_output('talker', 9000)
    self:answers { after = 30000, usage = { input = 1, output = 9000 } }
    local request = { model = 'talker', max_tokens = 30000 }
    local list = { self:requests({ body = request }, { body = request }, { body = request }) }
    local got = {}
    for index, exchange in ipairs(list) do got[index] = exchange.answer.status end
    table.sort(got)
    assert.same({ 200, 200, 429 }, got)
  end)

  it('of one answer leaves room under a learned limit', function()
    local self = single {}
    self:answers { usage = { input = 10, output = 300 }, headers = told('output-tokens', 16000, 15000, in_seconds(2)) }
    local request = { model = 'orator', max_tokens = 32000 }
    self:request { body = request }
    token_estimate.learn_output('orator', 30000)
    assert.equal('200 200 200 200', statuses(self, 4, { body = request }, 2000))
  end)

  it('that broke off is committed where it was reserved', function()
    local self = single {}
    self:answers({ usage = { input = 5, output = 1 }, ending = { error = 'CC_ECLIENT_GONE', events = 3 }, body = 'x',
      headers = told('output-tokens', 16000, 15000, in_seconds(50)) }, { status = 200 })
    assert.equal('200 200 200', statuses(self, 3, { body = { model = 'mumbler', stream = true, max_tokens = 32000 } }))
  end)

  it('is not learned beyond max_tokens', function()
    local self = single {}
    self:answers { usage = { input = 5, output = 900000 } }
    self:request { body = { model = 'liar', max_tokens = 100 } }
    assert.equal(100, token_estimate.output 'liar')
  end)

  it('that grows is learned at once, output that shrinks gradually', function()
    stage.new {}
    token_estimate.learn_output('grower', 1000)
    token_estimate.learn_output('grower', 3000)
    assert.equal(3000, token_estimate.output 'grower')
    token_estimate.learn_output('grower', 600)
    assert.equal(2700, token_estimate.output 'grower')
  end)

  it('of a stream that broke off counts by its bytes, and not below the estimate', function()
    local self = single { otpm_limit = 2000 }
    local ending = { error = 'CC_ECLIENT_GONE', events = 10 }
    self:answers({ usage = { input = 5, output = 1 }, ending = ending, body = ('y'):rep(8000) }, { status = 200 })
    assert.equal('200 429', statuses(self, 2, { body = { model = 'broken', stream = true, max_tokens = 900 } }))
    self = single { otpm_limit = 2000 }
    self:answers({ usage = { input = 5, output = 1 }, ending = ending, body = ('y'):rep(2000) }, { status = 200 })
    assert.equal('200 200 429', statuses(self, 3, { body = { model = 'broken', stream = true, max_tokens = 900 } }))
  end)

  it('does not count as input that was not reported yet', function()
    local self = single { itpm_limit = 1000 }
    self:answers({ usage = { input = 0, output = 0 }, ending = { error = 'CC_ERESET' } }, { status = 200 })
    assert.equal('200 429', statuses(self, 2, { body = { stream = true, x = ('y'):rep(3200) } }))
  end)
end)

describe('a request that was sent and broke off', function()
  it('stays reserved', function()
    local slow, other = fresh 'slow', fresh 'other'
    local self = stage.new { providers = {
      { name = slow, type = 'anthropic', keys = { { key = 'slow', priority = 2, itpm_limit = 1000 } } },
      { name = other, type = 'anthropic', keys = { { key = 'other' } } },
    } }
    self:reply(slow, { after = 8000 })
    local at_slow = 0
    for _ = 1, 4 do
      local _, exchange = self:request { body = { stream = true, x = ('y'):rep(3200) } }
      for _, attempt in ipairs(exchange.tries) do
        if attempt.headers['x-api-key'] == 'slow' then at_slow = at_slow + 1 end
      end
    end
    assert.equal(1, at_slow)
  end)

  it('and was refused used nothing', function()
    local self = single { itpm_limit = 1000 }
    self:answers { status = 400, body = '{}' }
    assert.equal('400 400 400', statuses(self, 3, { body = { x = ('y'):rep(3200) } }))
  end)
end)

describe('a request that was never sent', function()
  it('is refunded when the client disconnects', function()
    local self = single { rpm_limit = 2 }
    self:answers({ hang = true, sent = false }, { hang = true, sent = false }, { status = 200 })
    local _, _, third = self:requests({ gone_after = 100 }, { gone_after = 100 }, { at = 500 })
    assert.equal(200, third.answer.status)
  end)

  it('is not refunded if it was sent after all', function()
    local self = single { rpm_limit = 2 }
    self:answers({ hang = true }, { hang = true }, { status = 200 })
    local _, _, third = self:requests({ gone_after = 100 }, { gone_after = 100 }, { at = 500 })
    assert.equal(429, third.answer.status)
  end)

  it('costs nothing in a race', function()
    local fast, mute = fresh 'fast', fresh 'mute'
    local self = stage.new { policy = [[
      local relay = require 'ccrelay'
      return {
        route = function(exchange) return exchange:race(relay.upstreams(exchange), { after_ms = 10 }) end,
        on_done = function(_, report) relay.log('lost ' .. report.raced[1].input_tokens) end,
      }
    ]], providers = {
      { name = mute, type = 'anthropic', keys = { { key = 'mute', priority = 2, rpm_limit = 1 } } },
      { name = fast, type = 'anthropic', keys = { { key = 'fast', priority = 1 } } },
    } }
    self:reply(mute, { hang = true, sent = false })
    for _ = 1, 3 do
      local _, exchange = self:request()
      assert.equal(2, #exchange.tries)
    end
    assert.equal(3, self:count ' lost 0')
  end)
end)

describe('a client\'s limit', function()
  local function client(limits)
    limits.name, limits.key = fresh 'client', 'alice'
    return single({}, { server = { auth = { clients = { limits } } },
      health = { circuit_breaker = { failure_threshold = 100 } } })
  end
  local headers = { ['x-api-key'] = 'alice' }

  it('counts nothing for a request that was never sent', function()
    local self = client { rpm_limit = 2 }
    self:answers { error = 'CC_EREFUSED' }
    assert.equal('502 502 502', statuses(self, 3, { headers = headers }))
  end)

  it('counts only the request, no tokens, if it was refused', function()
    local self = client { tpm_limit = 5000, rpm_limit = 3 }
    self:answers { status = 400, body = '{}' }
    assert.equal('400 400 400 429', statuses(self, 4, { headers = headers, body = { x = ('y'):rep(12000) } }))
  end)
end)

describe('a limit that a provider states for a model', function()
  it('takes no more memory for invented names', function()
    local self = single {}
    self:answers { status = 404, body = '{}' }
    for index = 1, 240 do
      local letter = string.char(97 + index % 26)
      self:request { body = { model = 'claude-' .. letter:rep(index) .. 'x' } }
    end
    local count, key = 0, self.current.providers[1].keys[1]
    for _ in pairs(key.classes) do count = count + 1 end
    assert.is_true(count > 2 and count <= 8, count)
  end)

  local function opus() return { body = { model = 'claude-opus-4-5' } } end
  local function haiku() return { body = { model = 'claude-haiku-4-5-20251001' } } end

  it('applies to its class of models only', function()
    local self = preferred {}
    self:answers({ headers = told('requests', 50, 0, in_seconds(40)) }, { status = 200 })
    assert.equal('200 203', statuses(self, 2, opus()))
    assert.equal('200', statuses(self, 1, haiku()))
    assert.equal('203', statuses(self, 1, { body = { model = 'claude-opus-4-1-20250805' } }))
  end)

  it('applies to its class of models only after a 429, too', function()
    local self = single {}
    self:answers({ status = 429, body = '{}', headers = { ['retry-after'] = '40' } }, { status = 200 })
    assert.equal('429 429', statuses(self, 2, opus()))
    assert.equal('200', statuses(self, 1, haiku()))
    assert.equal('limited', require('ccrelay.health.overview').describe(self.current)[1].keys[1].state)
    stage.advance(41000)
    assert.equal('200', statuses(self, 1, opus()))
  end)

  it('differs from a configured limit, which applies to all models', function()
    local self = single { rpm_limit = 2 }
    assert.equal('200', statuses(self, 1, opus()))
    assert.equal('200 429', statuses(self, 2, haiku()))
  end)

  it('leaves nothing reserved at a key that had no room for the class', function()
    local self = preferred { rpm_limit = 3 }
    self:answers({ headers = told('input-tokens', 50, 50, in_seconds(40)) }, { status = 200 })
    assert.equal('200', statuses(self, 1, opus()))
    assert.equal('203 203', statuses(self, 2, { body = { model = 'claude-opus-4-5', x = ('y'):rep(4000) } }))
    assert.equal('200 200 203', statuses(self, 3, haiku()))
  end)
end)

describe('a reload', function()
  local function keys(...)
    local name, list = ..., {}
    for index, key in ipairs { select(2, ...) } do
      list[index] = { key = key .. name, rpm_limit = 3, priority = 10 - string.byte(key) % 10 }
    end
    return { providers = { { name = name, type = 'anthropic', keys = list } } }
  end

  local function served(self, count)
    local list = {}
    for index = 1, count do
      local answer, exchange = self:request()
      list[index] = exchange.tries[1] and exchange.tries[1].headers['x-api-key']:sub(1, 1) or tostring(answer.status)
    end
    return table.concat(list, ' ')
  end

  it('that reorders the keys keeps the usage of each', function()
    local name = fresh 'order'
    local self = stage.new(keys(name, 'F', 'G'))
    assert.equal('F F F', served(self, 3))
    self:use(keys(name, 'G', 'F'))
    assert.equal('G G G 429', served(self, 4))
  end)

  it('that adds a key in front of them keeps it, too', function()
    local name = fresh 'added'
    local self = stage.new(keys(name, 'G', 'H'))
    assert.equal('G G G H H H', served(self, 6))
    self:use(keys(name, 'F', 'G', 'H'))
    assert.equal('F F F 429', served(self, 4))
  end)

  it('that replaces a key does not pass the usage of the old one on', function()
    local name = fresh 'replaced'
    local function with(key)
      return { providers = { { name = name, type = 'anthropic', keys = { { key = key, priority = 2 } } },
        { name = name .. '-beside', type = 'anthropic', base_url = 'http://beside.test', keys = { { key = 'sk' } } } } }
    end
    local self = stage.new(with 'sk-old')
    self:reply(name, { headers = told('requests', 2, 0, in_seconds(50)) }, { status = 200 })
    self.replies['beside.test'] = { { status = 203 } }
    assert.equal('200 203', statuses(self, 2))
    self:use(with 'sk-new')
    assert.equal('200 200 200', statuses(self, 3))
  end)
end)

describe('without shared memory to count for limits', function()
  local full, limit

  before_each(function()
    limit, full = rawget(C, 'cc_limit'), 0
    C.cc_limit = function() full = full + 1 return C.CC_ELIMIT end
  end)
  after_each(function() C.cc_limit = limit end)

  it('a key with limits is not used, and an error is logged', function()
    local self = single { rpm_limit = 5 }
    assert.equal('529 529', statuses(self, 2))
    assert.equal('false', self:request().headers['x-should-retry'])
    assert.equal(1, self:count 'no shared memory left to count for the limits of key')
  end)

  it('a key without limits is used', function()
    local self = single {}
    assert.equal('200 200', statuses(self, 2))
    assert.equal(0, self:count 'no room')
    assert.is_true(full > 0)
  end)

  it('a client with limits is refused', function()
    local self = single({}, { server = { auth = { clients = { { name = fresh 'client', key = 'alice',
      rpm_limit = 9 } } } } })
    local answer = self:request { headers = { ['x-api-key'] = 'alice' } }
    assert.equal(429, answer.status)
    assert.is_truthy(answer.json.error.message:find 'no shared memory left to count')
    assert.equal('false', answer.headers['x-should-retry'])
  end)
end)

describe('images', function()
  local function body(kind, bytes)
    return { model = 'seer-' .. kind, messages = { { role = 'user', content = {
      { type = kind, source = { type = 'base64', media_type = 'image/png', data = ('A'):rep(bytes) } } } } } }
  end

  it('count as few tokens, however large', function()
    local self = single { itpm_limit = 2000 }
    self:answers { usage = { input = 1500, output = 1 } }
    assert.equal('200 429', statuses(self, 2, { body = body('image', 1500000) }))
    assert.equal(4, token_estimate.bytes_per_token 'seer-image')
  end)

  it('that are small count as fewer', function()
    local self = single { itpm_limit = 400 }
    self:answers { usage = { input = 150, output = 1 } }
    assert.equal('200 200', statuses(self, 2, { body = body('image', 400) }))
  end)

  it('by URL do not change the learned bytes per token', function()
    local self = single {}
    self:answers { usage = { input = 5000, output = 1 } }
    statuses(self, 3, { body = { model = 'seer-far', messages = { { role = 'user', content = {
      { type = 'image', source = { type = 'url', url = 'http://x/y.png' } } } } } } })
    assert.equal(4, token_estimate.bytes_per_token 'seer-far')
  end)

  it('and documents do not change the learned bytes per token', function()
    local self = single {}
    self:answers { usage = { input = 50000, output = 1 } }
    statuses(self, 2, { body = body('document', 800000) })
    assert.equal(4, token_estimate.bytes_per_token 'seer-document')
  end)
end)
