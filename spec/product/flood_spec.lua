-- SPDX-License-Identifier: Apache-2.0
-- Limits of requests a minute over a long time, on a clock that only events move.
local stage = require 'support.stage'
local fake = require 'support.fake_c'

local MINUTE = 60000

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
