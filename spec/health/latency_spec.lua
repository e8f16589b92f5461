-- SPDX-License-Identifier: Apache-2.0
local stage = require 'support.stage'
local latency = require 'ccrelay.health.latency'

local function at(provider)
  return { provider = stage.fresh(provider), model = 'm' }
end

local function learn(upstream, count, milliseconds)
  for _ = 1, count do latency.learn(upstream, milliseconds) end
end

-- Times between 100 and 1100 ms, every one as likely as the other: 95 of 100 are below 1050.
local function spread(number)
  return 100 + (number * 618.0339887) % 1000
end

describe('the learned latency', function()
  it('is not known until 20 streams have been seen', function()
    local one = at 'a'
    learn(one, 19, 300)
    assert.is_nil(latency.of(one))
    learn(one, 1, 300)
    assert.equal(300, latency.of(one))
  end)

  it('approaches the 95th percentile and stays there', function()
    local one = at 'a'
    for number = 1, 300 do latency.learn(one, spread(number)) end
    local slower = 0
    for number = 301, 1300 do
      if spread(number) > latency.of(one) then slower = slower + 1 end
      latency.learn(one, spread(number))
      assert.is_true(latency.of(one) > 850 and latency.of(one) < 1350, latency.of(one))
    end
    assert.is_true(slower > 40 and slower < 60, slower)
  end)

  it('is hardly changed by a single slow stream', function()
    local one = at 'a'
    learn(one, 100, 300)
    learn(one, 1, 60000)
    assert.is_true(latency.of(one) < 400, latency.of(one))
  end)

  it('follows a provider that becomes slower or faster', function()
    local one = at 'a'
    learn(one, 20, 300)
    learn(one, 30, 6000)
    assert.is_true(latency.of(one) > 5000, latency.of(one))
    learn(one, 400, 300)
    assert.is_true(latency.of(one) < 400, latency.of(one))
  end)

  it('is separate for each model and each provider', function()
    local one = at 'a'
    learn(one, 20, 300)
    assert.is_nil(latency.of { provider = one.provider, model = 'n' })
    assert.is_nil(latency.of(at 'b'))
  end)

  it('counts streams that were given up, if they were slow', function()
    local one, other = at 'a', at 'a'
    for number = 1, 600 do
      latency.learn(one, spread(number))
      -- Whatever takes longer than the figure is given up at the figure.
      local known = latency.of(other)
      if known and spread(number) > known then
        latency.exceeded(other, known + 1)
      else
        latency.learn(other, spread(number))
      end
    end
    assert.equal(latency.of(one), latency.of(other))
    latency.exceeded(other, 10)
    assert.equal(latency.of(one), latency.of(other))
  end)
end)

describe('the learned latency of exchanges', function()
  local POLICY = [[
    local relay = require 'ccrelay'
    return { route = function(exchange)
      local list = relay.upstreams(exchange)
      local known = relay.latency(list[1])
      relay.log('known ' .. tostring(known and math.floor(known)))
      return exchange:first(list)
    end }]]

  local function known(reply, stream, count)
    local name = stage.fresh('p'):gsub(' ', '')
    local self = stage.new { policy = POLICY, routing = { failover_timeout = 0 },
      health = { circuit_breaker = { failure_threshold = 1000 } },
      providers = { { name = name, type = 'anthropic', keys = { { key = 'k' } } } } }
    self:reply(name, reply)
    for _ = 1, count or 21 do self:request { body = { stream = stream } } end
    for index = #self.lines, 1, -1 do
      local figure = self.lines[index]:match 'known (%w+)'
      if figure then return figure end
    end
  end

  it('is learned from the streams of all exchanges', function()
    assert.equal('nil', known({ status = 200, after = 700 }, true, 20))
    assert.equal('700', known({ status = 200, after = 700 }, true))
  end)

  it('is not learned from whole answers or failures, except time-outs', function()
    assert.equal('nil', known({ status = 200, after = 700 }, false))
    assert.equal('nil', known({ status = 400, body = '{}', after = 700 }, true))
    assert.equal('700', known({ error = 'CC_EGATE_TIMEOUT', after = 700 }, true))
  end)

  it('can be read for an upstream only', function()
    local self = stage.new { policy = "local relay = require 'ccrelay' return function() relay.latency {} end" }
    assert.equal(500, self:request().status)
    assert.equal(1, self:count 'relay.latency takes one of relay.upstreams')
  end)
end)
