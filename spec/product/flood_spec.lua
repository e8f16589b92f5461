-- SPDX-License-Identifier: Apache-2.0
-- Promises about limits and failover over long times, on a clock that only events move.
local stage = require 'support.stage'
local fake = require 'support.fake_c'

local SECOND, MINUTE = 1000, 60000

-- The most of a list of moments that lie within any 60 s.
local function fullest(moments)
  local most, first = 0, 1
  for index, at in ipairs(moments) do
    while at - moments[first] >= MINUTE do first = first + 1 end
    most = math.max(most, index - first + 1)
  end
  return most
end

-- When each key was used, by the header that carries it.
local function uses_of(exchanges)
  local uses = {}
  for _, exchange in ipairs(exchanges) do
    for _, attempt in ipairs(exchange.tries) do
      local key = attempt.headers['x-api-key']
      uses[key] = uses[key] or {}
      table.insert(uses[key], attempt.sent_at)
    end
  end
  for _, list in pairs(uses) do table.sort(list) end
  return uses
end

local function timed(reply)
  return function(attempt)
    attempt.sent_at = fake.C.cc_now()
    return type(reply) == 'function' and reply(attempt) or reply
  end
end

it('a flood of 10 minutes over 3 keys of 60 a minute uses every key to its limit and never above', function()
  local name = stage.fresh('flood'):gsub(' ', '-')
  local keys = {}
  for index = 1, 3 do keys[index] = { key = 'sk-' .. index, rpm_limit = 60 } end
  local provider = { name = name, type = 'anthropic', base_url = 'http://flood.test', keys = keys }
  local self = stage.new { providers = { provider } }
  self.replies['flood.test'] = { timed { after = 200 } }
  local start, exchanges = fake.C.cc_now(), {}
  for number = 0, 10 * 60 * 10 - 1 do -- ten a second
    exchanges[#exchanges + 1] = { at = number * 100 }
  end
  exchanges = { self:requests(unpack(exchanges)) }
  local served, refused = 0, 0
  for _, exchange in ipairs(exchanges) do
    if exchange.answer.status == 200 then served = served + 1 else refused = refused + 1 end
    assert.is_true(exchange.answer.status == 200 or exchange.answer.status == 429)
  end
  local uses = uses_of(exchanges)
  for index = 1, 3 do
    local moments = uses['sk-' .. index]
    assert.is_true(fullest(moments) <= 60, fullest(moments))
    local first = #moments
    for _, at in ipairs(moments) do
      if at - start >= 10 * MINUTE then first = first - 1 end
    end
    assert.is_true(first >= 594 and first <= 600, ('key %d: %d uses in 10 minutes'):format(index, first))
  end
  assert.equal(#exchanges, served + refused)
end)

describe('limits of tokens a minute hold although the estimate is wrong by a factor of ten', function()
  local LIMIT, MINUTES = 10000, 6

  -- A flood over MINUTES minutes, at_once requests at a time: when each answer was whole, and its tokens.
  local function flood(at_once, takes, most, real, limit)
    local name = stage.fresh('tokens'):gsub(' ', '-')
    local self = stage.new { server = { timeout_ms = 0 }, providers = { { name = name, type = 'anthropic',
      base_url = 'http://tokens.test', keys = { { key = 'sk-1', otpm_limit = limit or LIMIT } } } } }
    local used, start = {}, fake.C.cc_now()
    self.replies['tokens.test'] = { function()
      local tokens = real(fake.C.cc_now() - start)
      used[#used + 1] = { at = fake.C.cc_now() + takes, tokens = tokens }
      return { after = takes, usage = { input = 10, output = tokens } }
    end }
    local list = {}
    for number = 0, MINUTES * 60 - 1 do
      for _ = 1, number % at_once == 0 and at_once or 0 do
        list[#list + 1] = { at = number * SECOND, body = { model = name, max_tokens = most } }
      end
    end
    self:requests(unpack(list))
    return used, start
  end

  local function fullest_minute(used, from)
    local most = 0
    for index, entry in ipairs(used) do
      local sum = 0
      for other = index, #used do
        if used[other].at - entry.at < MINUTE then sum = sum + used[other].tokens end
      end
      if entry.at >= (from or 0) then most = math.max(most, sum) end
    end
    return most
  end

  for _, at_once in ipairs { 1, 5, 20, 90 } do
    for _, takes in ipairs { 100, 5 * SECOND, 70 * SECOND } do
      local case = (', %d at once, %g s each'):format(at_once, takes / SECOND)

      it('too high' .. case, function()
        local used = flood(at_once, takes, 1000, function() return 100 end)
        assert.is_true(fullest_minute(used) <= LIMIT)
        assert.is_true(#used >= (takes > MINUTE and 100 or 250), #used)
      end)

      it('too low' .. case, function()
        local used = flood(at_once, takes, 20000, function() return 10240 end, 10 * LIMIT)
        assert.is_true(fullest_minute(used) <= 10 * LIMIT + 10240, fullest_minute(used))
        assert.is_true(#used >= (takes > MINUTE and 10 or 20), #used)
      end)

      -- Those under way when answers turn longer cannot be known; behind them it holds again.
      it('too low from the third minute on' .. case, function()
        local used, start = flood(at_once, takes, 4000, function(now) return now < 2 * MINUTE and 100 or 1000 end)
        local turned = start + 2 * MINUTE + takes
        local before = {}
        for _, entry in ipairs(used) do
          if entry.tokens == 100 then before[#before + 1] = entry end
        end
        assert.is_true(fullest_minute(before) <= LIMIT)
        assert.is_true(fullest_minute(used, turned + takes + MINUTE) <= LIMIT + 1000)
      end)
    end
  end

  -- Nothing is known until the first answer, and they come all at once.
  for _, most in ipairs { 30000, 64000, 128000 } do
    it('when the first requests may each take ' .. most .. ' of 100000', function()
      local used = flood(90, 20 * SECOND, most, function() return most - 10 end, 10 * LIMIT)
      assert.is_true(fullest_minute(used) <= 10 * LIMIT + most, fullest_minute(used))
      assert.is_true(#used >= 4, #used)
    end)
  end

  it('too low, from a provider that ignores max_tokens', function()
    local used = flood(1, 100, 100, function() return 1000 end)
    assert.is_true(fullest_minute(used) <= LIMIT + 1000)
    assert.is_true(#used >= 40, #used)
  end)
end)

describe('an outage of 80 minutes', function()
  local OVERLOADED = '{"type":"error","error":{"type":"overloaded_error","message":"o"}}'

  -- What the provider does from minute to minute.
  local function weather(minute, attempt)
    if minute < 10 or minute >= 90 then return { after = 300 } end
    local kind = minute % 4
    if kind == 0 then return { status = 529, body = OVERLOADED } end
    if kind == 1 then
      return attempt.stream and { error = 'CC_ESTREAM_ERROR', status = 200,
        body = 'event: error\ndata: {"type":"error","error":{"type":"api_error","message":"m"}}\n\n' }
        or { status = 500, body = '{}' }
    end
    if kind == 2 then return { status = 503, body = 'down', after = 3000 } end
    return { error = 'CC_EREFUSED' }
  end

  local self, exchanges, start
  local function run()
    if exchanges then return end
    self = stage.new {
      providers = {
        { name = 'storm', type = 'anthropic', keys = { { key = 's', priority = 2 } } },
        { name = 'calm', type = 'anthropic', keys = { { key = 'c', priority = 1 } } },
      },
    }
    start = fake.C.cc_now()
    self.replies['storm.test'] = { function(attempt)
      return weather(math.floor((fake.C.cc_now() - start) / MINUTE), attempt)
    end }
    self.replies['calm.test'] = { { after = 300 } }
    local list = {}
    for number = 0, 100 * 30 - 1 do list[#list + 1] = { at = number * 2000, body = { stream = number % 2 == 0 } } end
    exchanges = { self:requests(unpack(list)) }
  end

  local function within(from, to)
    local list = {}
    for _, exchange in ipairs(exchanges) do
      local minute = (exchange.at - start) / MINUTE
      if minute >= from and minute < to then list[#list + 1] = exchange end
    end
    return list
  end

  it('is not seen by any client', function()
    run()
    for _, exchange in ipairs(exchanges) do assert.equal(200, exchange.answer.status) end
  end)

  it('costs at most 1.2 attempts per request', function()
    run()
    local tries = 0
    local list = within(12, 90)
    for _, exchange in ipairs(list) do tries = tries + #exchange.tries end
    assert.is_true(tries <= 1.2 * #list, tries / #list)
  end)

  it('is over within a probe interval', function()
    run()
    local back
    for _, exchange in ipairs(within(90, 100)) do
      if exchange.answer.origin == 'storm.test' then
        back = (exchange.at - start) / MINUTE - 90
        break
      end
    end
    assert.is_true(back ~= nil and back <= 0.5, back)
    for _, exchange in ipairs(within(92, 100)) do assert.equal('storm.test', exchange.answer.origin) end
  end)
end)
