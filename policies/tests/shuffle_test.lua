-- SPDX-License-Identifier: Apache-2.0
-- ccrelay test policies/tests/shuffle_test.lua
local testing = require 'ccrelay.testing'

describe('shuffle', function()
  local function hands(seed)
    local self, list = testing.stage { policy = '../shuffle.lua', seed = seed, providers = {
      { name = 'a' }, { name = 'b' }, { name = 'c' } } }, {}
    for hand = 1, 4 do
      list[hand] = ''
      for _ = 1, 3 do list[hand] = list[hand] .. self:request().provider end
    end
    return list
  end

  it('deals each upstream once before any comes again', function()
    for _, hand in ipairs(hands(1)) do
      for _, name in ipairs { 'a', 'b', 'c' } do assert.is_truthy(hand:find(name, 1, true), hand) end
    end
  end)

  it('deals the same with the same seed, differently with others', function()
    assert.same(hands(7), hands(7))
    local seen = {}
    for seed = 1, 5 do seen[table.concat(hands(seed))] = true end
    assert.is_truthy(next(seen, (next(seen))))
  end)
end)
