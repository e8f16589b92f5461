-- SPDX-License-Identifier: Apache-2.0
-- Simulates long overloads of a provider. They take seconds, so they are not in the spec of a module.
local stage = require 'support.stage'

local OVERLOADED = { status = 529, body = '{"type":"error","error":{"type":"overloaded_error","message":"o"}}' }
local GOOD = { status = 200 }

local function provider(name, priority)
  return { name = name, type = 'anthropic', keys = { { key = 'sk-' .. name, priority = priority } } }
end

-- The first of two providers is under test; the second serves.
local function pair(reply)
  local self = stage.new {
    providers = { provider('a', 2), provider('b', 1) },
    health = { circuit_breaker = { failure_threshold = 3, open_duration_ms = 30000, half_open_probes = 1 } },
  }
  self:reply('a', reply)
  self:reply('b', GOOD)
  return self
end

local function tries_at_first(exchange)
  local count = 0
  for _, attempt in ipairs(exchange.tries) do
    if attempt.origin.host == 'a.test' then count = count + 1 end
  end
  return count
end

describe('an overload of 20 minutes', function()
  for _, rate in ipairs { 0.25, 0.5, 1, 2, 5 } do
    for what, reply in pairs { answers = OVERLOADED, ['broken streams'] = { status = 200,
      ending = { stream_error = 'overloaded_error' } } } do
      it(('with 529 in %s costs at most 1.2 attempts a request at %g a second'):format(what, rate), function()
        local self = pair(reply)
        local list = {}
        for number = 0, 1200 * rate - 1 do list[#list + 1] = { at = number * 1000 / rate, body = { x = number } } end
        local tries, exchanges = 0, { self:requests(unpack(list)) }
        for _, exchange in ipairs(exchanges) do
          tries = tries + (what == 'answers' and #exchange.tries or 1 + tries_at_first(exchange))
        end
        assert.is_true(tries <= 1.2 * #exchanges, tries / #exchanges)
      end)
    end
  end
end)

describe('a provider that sometimes answers with 529', function()
  local function failures(providers, every)
    local self = stage.new { providers = providers }
    local counts = {}
    for _, one in ipairs(providers) do
      local host = one.name .. '.test'
      self.replies[host] = { function()
        counts[host] = (counts[host] or 0) + 1
        return counts[host] % every == 0 and OVERLOADED or GOOD
      end }
    end
    local failed = 0
    for part = 0, 3 do
      local list = {}
      for number = 0, 2999 do list[#list + 1] = { at = number * 50, body = { x = part * 3000 + number } } end
      for _, exchange in ipairs { self:requests(unpack(list)) } do
        if exchange.answer.status ~= 200 then failed = failed + 1 end
      end
    end
    return failed / 12000
  end

  it('fails as often as without the relay: 10 minutes at 20 requests a second', function()
    assert.equal(0.01, failures({ provider 'a' }, 100))
    assert.equal(0.02, failures({ provider 'a' }, 50))
  end)

  it('fails at most 5 in 10,000 beside another provider', function()
    local share = failures({ provider('a', 2), provider('b', 1) }, 50)
    assert.is_true(share <= 0.0005, share)
  end)
end)
