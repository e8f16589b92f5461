-- SPDX-License-Identifier: Apache-2.0
-- Limits of tokens per minute over long times, on a simulated clock.
local stage = require 'support.stage'
local fake = require 'support.fake_c'

local SECOND, MINUTE = 1000, 60000

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
