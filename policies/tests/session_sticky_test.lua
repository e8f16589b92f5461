-- SPDX-License-Identifier: Apache-2.0
-- ccrelay test policies/tests/session_sticky_test.lua
local testing = require 'ccrelay.testing'

describe('session_sticky', function()
  local function stage()
    return testing.stage { policy = '../session_sticky.lua', providers = { { name = 'a' }, { name = 'b' } } }
  end

  local function ask(self, session)
    return self:request { headers = { ['x-claude-code-session-id'] = session } }
  end

  it('keeps a conversation at one upstream', function()
    local self = stage()
    local first = ask(self, 'one').provider
    for _ = 1, 5 do assert.equal(first, ask(self, 'one').provider) end
  end)

  it('spreads conversations over the upstreams', function()
    local self, counts = stage(), { a = 0, b = 0 }
    for number = 1, 40 do
      local name = ask(self, 'session ' .. number).provider
      counts[name] = counts[name] + 1
    end
    assert.is_true(counts.a > 5 and counts.b > 5)
  end)

  it('moves a conversation when its upstream fails, and keeps it there', function()
    local self = stage()
    local first = ask(self, 'one').provider
    self:reply(first, { error = 'CC_EREFUSED' }, { status = 200 })
    local second = ask(self, 'one').provider
    assert.are_not.equal(first, second)
    self:advance(60000)
    assert.equal(second, ask(self, 'one').provider)
  end)
end)
