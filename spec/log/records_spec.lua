-- SPDX-License-Identifier: Apache-2.0
local stage = require 'support.stage'
local records = require 'ccrelay.log.records'
local C = require 'ccrelay.c'

local function provider(name, more)
  local made = { name = name, type = 'anthropic', keys = { { key = 'k-' .. name } } }
  for key, value in pairs(more or {}) do made[key] = value end
  return made
end

-- The record of the exchange that has just ended.
local function latest()
  return records.read(C.cc_records_next() - 1, 1)[1]
end

describe('the record of an exchange', function()
  it('has what the access log has, and more', function()
    local self = stage.new()
    self:reply('one', { status = 200, body = 'twelve bytes', changed_bytes = 9,
      headers = { ['request-id'] = 'req_011Abc' },
      usage = { input = 1, output = 2, cache_read = 3, cache_5m = 4, cache_1h = 5 } })
    local _, exchange = self:request { path = '/v1/messages?beta=true' }
    local record, line = latest(), self:line()
    assert.equal(line.id, record.id)
    assert.equal('req_011Abc', record.upstream_id)
    assert.same({ input = 1, output = 2, cache_read = 3, cache_write_5m = 4, cache_write_1h = 5 }, record.tokens)
    local expected = {
      endpoint = 'messages', model = 'claude-sonnet-4-5', sent_model = 'claude-sonnet-4-5', stream = false,
      status = 200, provider = 'one', key = 'one/1', refused = false, total_ms = 1, response_bytes = 12,
      changed_bytes = 9, attempts_made = 1, open = false, cut = false,
    }
    for name, value in pairs(expected) do assert.equal(value, record[name], name) end
    for _, name in ipairs { 'error', 'client', 'class', 'switched', 'cost', 'trace_id', 'queued_ms' } do
      assert.is_nil(record[name], name)
    end
    assert.equal(#exchange.body, record.request_bytes)
    assert.is_true(record.at > 1e12)
    assert.same({ { provider = 'one', key = 'one/1', model = 'claude-sonnet-4-5', priority = 1 } }, record.candidates)
    assert.equal(1, #record.attempts)
    local attempt = record.attempts[1]
    assert.equal('one/1', attempt.key)
    assert.equal(200, attempt.status)
    assert.is_nil(attempt.error)
    assert.is_false(attempt.raced)
    assert.is_false(attempt.unsent)
  end)

  it('has what the exchange has cost, and how the provider served it', function()
    local self = stage.new { routing = { prices = { ['*'] = { input = 1, output = 2 } } } }
    self:reply('one', { usage = { input = 1000000, output = 500000, tier = C.CC_BATCH, fast = true } },
      { usage = { input = 0, output = 0 } })
    self:request()
    local record = latest()
    assert.same({ 2, 'batch', true }, { record.cost, record.tier, record.fast })
    self:request()
    record = latest()
    assert.same({ 0, false }, { record.cost, record.fast })
    assert.is_nil(record.tier)
  end)

  it('tells each attempt, its cause and its times', function()
    local self = stage.new { providers = { provider 'a', provider 'b', provider 'c' } }
    self:reply('a', { error = 'CC_EREFUSED', detail = 'ECONNREFUSED', after = 3 })
    self:reply('b', { status = 529, body = '{}', after = 5 })
    self:reply('c', { status = 200, body = '{}' })
    self:request()
    local record = latest()
    local told = {}
    for index, attempt in ipairs(record.attempts) do
      told[index] = ('%s %s %s'):format(attempt.key, attempt.status or '-', attempt.error or '-')
    end
    assert.same({ 'a/1 - CC_EREFUSED', 'b/1 529 overloaded_error', 'c/1 200 -' }, told)
    assert.equal('ECONNREFUSED', record.attempts[1].detail)
    assert.equal(0, record.attempts[1].at_ms)
    assert.is_true(record.attempts[2].at_ms > record.attempts[1].at_ms)
    assert.equal('c', record.provider)
    assert.equal(3, #record.candidates)
  end)

  it('tells of a race which attempt was cancelled', function()
    local self = stage.new { providers = { provider 'a', provider 'b' }, policy = [[
      local relay = require 'ccrelay'
      return { route = function(exchange)
        return exchange:race(relay.upstreams(exchange), { after_ms = 10 })
      end }]] }
    self:reply('a', { status = 200, body = '{}', after = 500 })
    self:reply('b', { status = 200, body = '{}', after = 20 })
    self:request()
    local record = latest()
    assert.equal('b/1', record.key)
    assert.same({ 'b/1', false }, { record.attempts[1].key, record.attempts[1].raced })
    assert.same({ 'a/1', true, 30 }, { record.attempts[2].key, record.attempts[2].raced, record.attempts[2].total_ms })
  end)

  -- The candidates of the latest record as "KEY REASON LACK".
  local function candidates()
    local told = {}
    for index, one in ipairs(latest().candidates) do
      told[index] = ('%s %s %s'):format(one.key, one.reason or '-', one.lack or '-')
    end
    return told
  end

  it('tells why upstreams were left out', function()
    local self = stage.new { providers = {
      provider('a', { keys = { { key = 'k1', rpm_limit = 1 }, { key = 'k2' } } }), provider 'b',
      provider('c', { type = 'ollama', model_mapping = { ['claude-sonnet-4-5'] = 'qwen3' } }) } }
    self:reply('a', { status = 200, body = '{}' })
    self:reply('b', { status = 200, body = '{}' })
    self:request()
    assert.same({ 'a/1 - -', 'a/2 - -', 'b/1 - -', 'c/1 - -' }, candidates())
    self:reply('a', { status = 402, body = '{}' })
    self:request()
    self:request()
    self:request { features = { 'pdf' } }
    assert.same({ 'b/1 - -', 'a/1 limited -', 'a/2 aside billing', 'c unsupported PDF documents' }, candidates())
  end)

  it('tells how long a limit would have had no room', function()
    local self = stage.new { providers = { provider('a', { keys = { { key = 'k1', rpm_limit = 1 } } }), provider 'b' } }
    self:reply('a', { status = 200, body = '{}' })
    self:reply('b', { status = 200, body = '{}' })
    self:request()
    self:request()
    local record = latest()
    assert.same({ 'b/1 - -', 'a/1 limited -' }, candidates())
    assert.is_true(record.candidates[2].ready_ms > 30000)
    assert.is_true(record.candidates[2].ready_ms <= 61000)
    assert.equal('b/1', record.key)
  end)

  it('tells of an upstream that was left out and asked all the same', function()
    local self = stage.new()
    self:reply('one', { status = 402, body = '{}' }, { status = 200, body = '{}' })
    self:request()
    self:request()
    assert.same({ 'one/1 aside billing' }, candidates())
    assert.equal('one/1', latest().key)
  end)

  it('has the class of the request and its cost', function()
    local self = stage.new { routing = { prices = { ['claude-sonnet-4-5'] = { input = 3, output = 15 } } } }
    self:reply('one', { status = 200, body = '{}', usage = { input = 1000, output = 100 } })
    self:request { headers = { ['x-claude-code-request-class'] = 'auxiliary' } }
    local record = latest()
    assert.equal('auxiliary', record.class)
    assert.is_true(math.abs(record.cost - 0.0045) < 1e-9)
  end)

  it('is written for what the relay refused itself, and can be found by its request-id', function()
    local self = stage.new { server = { auth = { api_key = 'relay-key-1' } } }
    local answer = self:request()
    assert.equal(401, answer.status)
    local record = latest()
    assert.equal(401, record.status)
    assert.same({}, record.attempts)
    assert.same(record, records.find(answer.headers['request-id']))
    assert.same(record, records.find(record.id))
    assert.same(record, records.find('ccr_' .. record.id))
    assert.is_nil(records.find 'req_ccr_0000000000000000')
  end)

  it('is found by the request id of the provider', function()
    local self = stage.new()
    self:reply('one', { status = 200, body = '{}', headers = { ['request-id'] = 'req_011Find' } })
    self:request()
    assert.equal(latest().number, records.find('req_011Find').number)
  end)

  it('is named by its number if the log has no line of it', function()
    local self = stage.new { logging = { level = 'error' } }
    self:reply('one', { status = 200, body = '{}', headers = { ['request-id'] = 'req_1' } })
    self:request()
    local record = latest()
    assert.equal('number-' .. record.number, record.id)
    assert.same(record, records.find(record.id))
    assert.is_nil(records.find('number-' .. record.number + 1))
  end)

  it('is not written for monitors and scanners', function()
    local self, before = stage.new(), C.cc_records_next()
    self:requests({ method = 'GET', path = '/health' }, { path = '/nothing' })
    assert.equal(before, C.cc_records_next())
  end)

  it('is cut where texts are too long, between characters', function()
    local self = stage.new { providers = { provider 'a' } }
    self:reply('a', { status = 200, body = '{}' })
    local long = string.rep('x', 127) .. 'äöü'
    self:request { body = '{"model":"' .. long .. '","max_tokens":1,"messages":[]}' }
    local record = latest()
    assert.equal(string.rep('x', 127), record.model)
    assert.is_true(record.cut)
  end)

  it('has room for the last of very many attempts', function()
    local self = stage.new { policy = [[
      local relay = require 'ccrelay'
      return { route = function(exchange)
        local upstream, outcome = relay.upstreams(exchange)[1]
        for _ = 1, 20 do outcome = exchange:try(upstream) end
        return outcome
      end }]] }
    local replies = {}
    for index = 1, 19 do replies[index] = { status = 400, body = '{}' } end
    replies[20] = { status = 200, body = '{}' }
    self:reply('one', unpack(replies))
    self:request()
    local record = latest()
    assert.equal(12, #record.attempts)
    assert.equal(20, record.attempts_made)
    assert.equal(200, record.attempts[12].status)
    assert.is_true(record.cut)
  end)

  it('holds no prompt, secret or header', function()
    local canary = 'CANARY-prompt-5150'
    local self = stage.new { server = { auth = { clients = { { name = 'bob', key = 'CANARY-key-5150' } } } },
      providers = { provider('a', { keys = { { key = 'CANARY-upstream-5150' } } }) } }
    self:reply('a', { status = 400, body = '{"type":"error","error":{"type":"invalid_request_error","message":"'
      .. canary .. '"}}' })
    self:request { headers = { ['x-api-key'] = 'CANARY-key-5150', ['user-agent'] = canary,
      ['x-claude-code-request-class'] = 'main CANARY-key-5150' },
      path = '/v1/messages?' .. canary,
      body = '{"model":"claude-sonnet-4-5","max_tokens":1,"system":"' .. canary .. '","metadata":{"user_id":"' .. canary
        .. '"},"messages":[{"role":"user","content":"' .. canary .. '"}]}' }
    assert.equal('bob', latest().client)
    assert.equal('main [redacted]', latest().class)
    local raw = require('ffi').new 'struct cc_record'
    assert.equal(C.CC_OK, C.cc_record_read(C.cc_records_next() - 1, raw))
    local bytes = require('ffi').string(raw, require('ffi').sizeof(raw))
    assert.is_nil(bytes:find('CANARY', 1, true))
  end)
end)

describe('reading records', function()
  local self
  local function serve(count)
    for _ = 1, count do self:request() end
  end

  before_each(function()
    self = stage.new()
    self:reply('one', { status = 200, body = '{}' })
  end)

  it('goes on where the last reading ended', function()
    local from = C.cc_records_next()
    serve(5)
    local list, next, lost = records.read(from, 3)
    assert.same({ 3, from + 3, 0 }, { #list, next, lost })
    list, next, lost = records.read(next, 3)
    assert.same({ 2, from + 5, 0 }, { #list, next, lost })
    assert.equal(from + 4, list[2].number)
    list, next, lost = records.read(next, 3)
    assert.same({ 0, from + 5, 0 }, { #list, next, lost })
  end)

  it('says how many records it came too late for', function()
    local from = C.cc_records_next()
    serve(70)
    local list, next, lost = records.read(from, 1000)
    assert.same({ 64, from + 70, 6 }, { #list, next, lost })
    local most, count = records.kept()
    assert.same({ 64, 64 }, { most, count })
  end)

  it('starts with the newest', function()
    serve(3)
    local numbers, after = {}, C.cc_records_next()
    records.newest(function(record)
      numbers[#numbers + 1] = record.number
      return #numbers == 2
    end)
    assert.same({ after - 1, after - 2 }, numbers)
  end)
end)

describe('exchanges under way', function()
  local open_exchanges = require 'ccrelay.server.open_exchanges'
  local fake = require('support.fake_c').C

  -- The lists that a worker publishes while run() runs; each is a list of what read(record) returned.
  local function published(run, read)
    local lists, list = {}, {}
    rawset(fake, 'cc_open_write', function(index, record) list[index + 1] = read(record) end)
    rawset(fake, 'cc_open_publish', function(count)
      assert.equal(count, #list)
      lists[#lists + 1], list = list, {}
    end)
    finally(function()
      rawset(fake, 'cc_records_kept', function() return 0 end)
      open_exchanges.attach(nil)
      for _, name in ipairs { 'cc_open_write', 'cc_open_publish', 'cc_records_kept' } do rawset(fake, name, nil) end
    end)
    open_exchanges.attach(nil)
    run()
    return lists
  end

  it('are published twice a second, with their attempts so far, while there are any', function()
    local self = stage.new { providers = { provider 'a', provider 'b' } }
    self:reply('a', { status = 529, body = '{}', after = 5 })
    self:reply('b', { status = 200, body = '{}', after = 1200 })
    local lists = published(function() self:request() end, function(record)
      return { record.open, record.total_ms, record.candidates, record.attempts, record.attempt[0].status,
        record.attempt[1].status, record.attempt[1].total_ms }
    end)
    assert.same({ {}, { { true, 500, 2, 2, 529, 0, -1 } }, { { true, 1000, 2, 2, 529, 0, -1 } }, {} }, lists)
  end)

  it('are bounded in number', function()
    local self, requests = stage.new(), {}
    self:reply('one', { status = 200, body = '{}', after = 700 })
    for index = 1, 260 do requests[index] = {} end
    local lists = published(function() self:requests(unpack(requests)) end, function() return 1 end)
    assert.same({ 0, 256, 0 }, { #lists[1], #lists[2], #lists[3] })
  end)
end)
