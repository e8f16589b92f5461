-- SPDX-License-Identifier: Apache-2.0
local stage = require 'support.stage'
local helper = require 'support.config_helper'
local config = require 'ccrelay.config'
local date = require 'ccrelay.util.date'
local fake = require 'support.fake_c'
local prices = require 'ccrelay.limits.prices'

local C = fake.C

local function at(model, provider)
  return { provider = provider or 'anthropic', model = model }
end

local function report(fields)
  local all = { status = 200, upstream = at 'claude-opus-5', usage_known = true, input_tokens = 0, output_tokens = 0,
    cache_read_tokens = 0, cache_write_tokens = 0, cache_write_1h_tokens = 0 }
  for name, value in pairs(fields) do all[name] = value end
  return all
end

local OPUS = { input = 5, output = 25, cache_read = 0.5, cache_write_5m = 6.25, cache_write_1h = 10 }

describe('a price', function()
  local book = prices.new {
    ['claude-*'] = { input = 1, output = 1 }, ['claude-opus-*'] = { input = 2, output = 2 },
    ['claude-opus-5'] = { input = 3, output = 3 }, ['zai/claude-*'] = { input = 4, output = 4 },
    ['free/*'] = { input = 0, output = 0 },
  }

  it('is that of the exact name, else of the longest prefix; one that names the provider comes first', function()
    local function input(...) return (book:of(at(...)) or {}).input end
    assert.same({ 1, 2, 3, 4, 0 }, { input 'claude-haiku', input 'claude-opus-4', input 'claude-opus-5',
      input('claude-opus-5', 'zai'), input('qwen', 'free') })
    assert.is_nil(input 'qwen')
  end)

  it('of a request counts input and output', function()
    assert.equal(30, prices.new({ m = OPUS }):expected(at 'm', 1000000, 1000000))
    assert.equal(0.00751, prices.new({ m = OPUS }):expected(at 'm', 1002, 100))
    assert.is_nil(prices.new({ m = OPUS }):expected(at 'n', 1000, 100))
    assert.is_nil(prices.new(nil):expected(at 'n', 1000, 100))
  end)
end)

describe('a price that changes', function()
  local book = prices.new { ['*'] = { input = 3, output = 3, changes = {
    { from = '2027-03-01', input = 5, output = 5 }, { from = '2027-01-01', input = 4, output = 4 } } } }
  local real

  before_each(function() real = rawget(C, 'cc_time') end)
  after_each(function() C.cc_time = real end)

  for moment, input in pairs { ['2026-12-31T23:59:59'] = 3, ['2027-01-01T00:00:00'] = 4, ['2027-02-28T23:59:59'] = 4,
    ['2027-03-01T00:00:00'] = 5, ['2030-01-01T00:00:00'] = 5 } do
    it('is ' .. input .. ' at ' .. moment, function()
      C.cc_time = function() return date.rfc3339(moment .. 'Z') end
      assert.equal(input, book:of(at 'm').input)
    end)
  end
end)

describe('a price of a tier or of fast mode', function()
  local book = prices.new { m = { input = 4, output = 8, cache_read = 1, batch = { input = 2, output = 4 },
    fast = { input = 24, output = 48, cache_read = 3 } } }

  local function cost(fields)
    fields.upstream, fields.input_tokens, fields.cache_read_tokens = at 'm', 1000000, 1000000
    return book:cost(report(fields))
  end

  it('counts when the provider says that it served so', function()
    assert.same({ 5, 4, 27, 27 }, { cost {}, cost { tier = 'batch' }, cost { fast = true },
      cost { fast = true, tier = 'batch' } })
  end)

  it('is the usual one without a price of its own', function()
    assert.equal(5, cost { tier = 'priority' })
  end)
end)

describe('the configuration of prices', function()
  local function words_of(price)
    local _, notes = helper.load('routing: {prices: {m: ' .. price .. '}}', 'yaml', {}, { dir = '.' })
    return notes[1] and config.text(notes[1]) or ''
  end

  it('takes tiers, fast mode and changes', function()
    assert.equal('', words_of [[{input: 1, output: 2, batch: {input: 1, output: 1}, priority: {input: 1, output: 1},
      fast: {input: 1, output: 1, cache_read: 0.1}, changes: [{from: 2027-01-01, input: 1, output: 1,
      fast: {input: 1, output: 1}}, {from: "2028-02-29", input: 1, output: 1}]}]])
  end)

  it('refuses what is no date, and changes without prices', function()
    assert.matches('changes%[0%]%.from: .*YYYY%-MM%-DD',
      words_of '{input: 1, output: 2, changes: [{from: 2027-13-01, input: 1, output: 1}]}')
    assert.matches('changes%[0%]%.from: .*YYYY%-MM%-DD',
      words_of '{input: 1, output: 2, changes: [{from: tomorrow, input: 1, output: 1}]}')
    assert.matches('changes%[0%].*input', words_of '{input: 1, output: 2, changes: [{from: 2027-01-01, output: 1}]}')
    assert.matches('fast.*output', words_of '{input: 1, output: 2, fast: {input: 1}}')
  end)
end)

describe('the cost', function()
  local book = prices.new { ['claude-opus-5'] = OPUS, plain = { input = 2, output = 8 } }

  it('counts every class of tokens at its own price', function()
    local function cost(name, more)
      local fields = { [name] = 1000000 }
      for field, value in pairs(more or {}) do fields[field] = value end
      return book:cost(report(fields))
    end
    assert.equal(5, cost 'input_tokens')
    assert.equal(25, cost 'output_tokens')
    assert.equal(0.5, cost 'cache_read_tokens')
    assert.equal(6.25, cost 'cache_write_tokens')
    assert.equal(10, cost('cache_write_tokens', { cache_write_1h_tokens = 1000000 }))
    assert.equal(7, cost('cache_write_tokens', { cache_write_1h_tokens = 200000 }))
  end)

  it('of cached tokens is that of input if they have no price', function()
    local upstream = at 'plain'
    for _, name in ipairs { 'input_tokens', 'cache_read_tokens', 'cache_write_tokens' } do
      assert.equal(2, book:cost(report { upstream = upstream, [name] = 1000000 }))
    end
    assert.equal(2, book:cost(report { upstream = upstream, cache_write_tokens = 1000000,
      cache_write_1h_tokens = 1000000 }))
  end)

  it('is that of the model rather than of a wildcard, unless that names the provider', function()
    local any, own = { input = 1, output = 1 }, { input = 9, output = 9 }
    local rows = { ['*'] = any, ['claude-opus-5'] = OPUS, ['glm*'] = any, ['b/*'] = own }
    assert.equal(OPUS, prices.new(rows):of(at 'claude-opus-5'))
    assert.equal(own, prices.new(rows):of { provider = 'b', model = 'claude-opus-5' })
    assert.equal(OPUS, prices.new(rows):of { provider = 'glm', model = 'claude-opus-5' })
    assert.equal(any, prices.new(rows):of(at 'other'))
    assert.equal(OPUS, prices.new { ['*'] = any, ['x/y'] = OPUS }:of(at 'x/y'))
  end)

  it('is not known without usage or price', function()
    assert.is_nil(book:cost(report { usage_known = false }))
    assert.is_nil(book:cost(report { upstream = at 'other', input_tokens = 5 }))
  end)

  it('is 0 for an error', function()
    assert.equal(0, book:cost(report { usage_known = false, status = 429 }))
    assert.equal(5, book:cost(report { input_tokens = 1000000, status = 529 }))
  end)

  it('is 0 for an answer of the relay itself', function()
    local fields = report { usage_known = false }
    fields.upstream = nil
    assert.equal(0, book:cost(fields))
  end)

  it('counts the input of attempts that lost', function()
    local raced = { { upstream = at 'plain', input_tokens = 500000 }, { upstream = at 'other', input_tokens = 9 } }
    assert.equal(6, book:cost(report { input_tokens = 1000000, raced = raced }))
  end)
end)

describe('a policy', function()
  local POLICY = [[
    local relay = require 'ccrelay'
    return {
      route = function(exchange)
        local list = relay.upstreams(exchange)
        relay.log('price ' .. tostring(relay.price(list[1], exchange)))
        return exchange:race(list, { after_ms = 10 })
      end,
      on_done = function(_, report) relay.log('cost ' .. tostring(relay.cost(report))) end,
    }]]

  local function run(rows, replies, words)
    local list = {}
    for index, name in ipairs { 'a', 'b' } do
      list[index] = { name = name, type = 'anthropic', keys = { { key = 'sk-' .. name, priority = 3 - index } } }
    end
    local self = stage.new { policy = words or POLICY, routing = { prices = rows }, providers = list }
    for name, reply in pairs(replies) do self:reply(name, reply) end
    local answer = self:request()
    return self, answer
  end

  it('can read what a request may cost and what it has cost', function()
    local usage = { input = 100000, output = 10000, cache_read = 1000000, cache_5m = 200000, cache_1h = 100000 }
    local self = run({ ['claude-*'] = OPUS }, { a = { status = 200, usage = usage } })
    assert.equal(1, self:count 'cost 3.5')
    local price = tonumber(self.lines[1]:match 'price ([%d.e-]+)')
    local input = math.ceil(#'{"model":"claude-sonnet-4-5","max_tokens":100,'
      + #'"messages":[{"role":"user","content":"hi"}]}') / 4
    assert.is_true(math.abs(price - (math.ceil(input) * 5 + 100 * 25) / 1000000) < 2e-5, self.lines[1])
  end)

  it('can read the losers of a race with their cost', function()
    local usage = { input = 1000000, output = 0 }
    local rows = { ['b/*'] = { input = 1, output = 0 }, ['a/*'] = { input = 100000, output = 0 } }
    local self = run(rows, { a = { status = 200, after = 5000 }, b = { status = 200, usage = usage } })
    local text
    for _, line in ipairs(self.lines) do text = text or line:match 'cost ([%d.]+)' end
    assert.is_true(tonumber(text) > 2.5 and tonumber(text) < 4, text)
  end)

  it('can read nothing else', function()
    for words, message in pairs {
      ['relay.price({}, exchange)'] = 'relay.price takes one of relay.upstreams',
      ['relay.price(relay.upstreams(exchange)[1])'] = 'relay.price takes an exchange',
      ['relay.cost(exchange)'] = 'relay.cost takes the report',
      ['relay.cost({})'] = 'relay.cost takes the report',
    } do
      local self = run({}, {}, "local relay = require 'ccrelay' return function(exchange) " .. words .. ' end')
      assert.equal(1, self:count(message), table.concat(self.lines, '\n'))
    end
  end)
end)

describe('routing.prices', function()
  local function refused(text, what)
    local faults = helper.faults('routing: {prices: ' .. text .. '}')
    assert.is_truthy(faults:find(what, 1, true), ('"%s" not in "%s"'):format(what, faults))
  end

  it('accepts numbers with and without a fraction, in both formats', function()
    local expected = { ['x*'] = { input = 0.25, output = 3, cache_read = 0 } }
    assert.same(expected, helper.good('routing: {prices: {"x*": {input: 0.25, output: 3, cache_read: 0.0}}}')
      .routing.prices)
    assert.same(expected, helper.good('[routing.prices."x*"]\ninput = 0.25\noutput = 3\ncache_read = 0.0\n', 'toml')
      .routing.prices)
    assert.same(expected, helper.good('routing: {prices: {"x*": {input: "${P}", output: "${Q:-3}", cache_read: 0}}}',
      'yaml', { P = '0.25' }).routing.prices)
  end)

  it('rejects values that are not prices', function()
    local expected = 'expected a number from 0 to 2147483647, in plain decimal digits'
    for _, text in ipairs { '-1', '1e3', '.5', '1.', '"1"', '07', 'x', '.inf', '.nan', '99999999999', '1_000' } do
      refused('{m: {input: ' .. text .. ', output: 1}}', 'routing.prices.m.input: found')
      refused('{m: {input: ' .. text .. ', output: 1}}', expected)
    end
    refused('{m: {input: 1}}', 'routing.prices.m.output: this key is required')
    refused('{m: {input: 1, output: 1, cache_write: 1}}', 'did you mean "cache_write_')
    refused('{m: 3}', 'routing.prices.m: found the number 3, expected a mapping')
  end)

  it('is in the reference and the JSON Schema', function()
    assert.is_truthy(config.reference():find('| `routing.prices` | map of sections |', 1, true))
    assert.is_truthy(config.reference():find('| `routing.prices.*.cache_read` | number |', 1, true))
    local routing = config.json_schema().properties.routing.properties
    local price = routing.prices.additionalProperties
    assert.equal('number', price.properties.input.anyOf[1].type)
    assert.same({ 'input', 'output' }, { price.required[1], price.required[2] })
  end)
end)
