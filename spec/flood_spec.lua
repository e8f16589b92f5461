-- SPDX-License-Identifier: Apache-2.0
-- What is promised of limits and failover over long times, on a clock that only events move.
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

it('a flood of 10 minutes over 3 keys of 60 a minute: every key is used up, none ever beyond', function()
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

it('tokens a minute hold although the estimate is wrong by ten', function()
  local name = stage.fresh('tokens'):gsub(' ', '-')
  local self = stage.new { providers = { { name = name, type = 'anthropic', base_url = 'http://tokens.test',
    keys = { { key = 'sk-1', otpm_limit = 10000 } } } } }
  local used = {}
  self.replies['tokens.test'] = { function()
    used[#used + 1] = { at = fake.C.cc_now(), tokens = 1000 }
    return { after = 100, usage = { input = 10, output = 1000 } }
  end }
  local list = {}
  for number = 0, 5 * 60 - 1 do list[#list + 1] = { at = number * SECOND, body = { max_tokens = 100 } } end
  self:requests(unpack(list))
  for index, entry in ipairs(used) do
    local sum = 0
    for other = index, #used do
      if used[other].at - entry.at < MINUTE then sum = sum + used[other].tokens end
    end
    assert.is_true(sum <= 11000, sum) -- one request under way may exceed
  end
  assert.is_true(#used >= 40, #used)
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

  it('is seen by no client', function()
    run()
    for _, exchange in ipairs(exchanges) do assert.equal(200, exchange.answer.status) end
  end)

  it('costs few tries: at most 1.2 for each request', function()
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
    assert.is_true(back ~= nil and back <= 0.6, back)
    for _, exchange in ipairs(within(92, 100)) do assert.equal('storm.test', exchange.answer.origin) end
  end)
end)
