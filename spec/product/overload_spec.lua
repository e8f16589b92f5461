-- SPDX-License-Identifier: Apache-2.0
-- Simulates overloads of 20 minutes. That takes seconds, so it is not in the spec of a module.
local overload = require 'support.overload'
local stage = require 'support.stage'

-- The first of two providers is under test; the second serves.
local function pair(reply)
  local self = stage.new {
    providers = { overload.provider('a', 2), overload.provider('b', 1) },
    health = { circuit_breaker = { failure_threshold = 3, open_duration_ms = 30000, half_open_probes = 1 } },
  }
  self:reply('a', reply)
  self:reply('b', overload.GOOD)
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
    for what, reply in pairs { answers = overload.OVERLOADED, ['broken streams'] = { status = 200,
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
