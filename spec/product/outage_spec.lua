-- SPDX-License-Identifier: Apache-2.0
-- Failover during a long outage, on a simulated clock.
local stage = require 'support.stage'
local fake = require 'support.fake_c'

local MINUTE = 60000

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
