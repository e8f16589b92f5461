-- SPDX-License-Identifier: Apache-2.0
require 'support.fake_c'
local hints = require 'ccrelay.exchange.hints'

describe('durations of tools', function()
  for text, expected in pairs {
    ['Bash=742;Read=9'] = { Bash = 742, Read = 9 },
    [' Bash = 742'] = false,
    ['mcp__x%3By%3D=1.5; Read=2 '] = { ['mcp__x;y='] = 1.5, Read = 2 },
    ['Bash=;=3;Read;Grep=-1;Edit=7;;'] = { Edit = 7 },
    ['100%=5;bad%zz=6'] = { ['100%'] = 5, ['bad%zz'] = 6 },
    [''] = false, [';;;'] = false, ['Bash=1e99999'] = false,
  } do
    it('are read from "' .. text .. '"', function()
      assert.same(expected or nil, hints.tool_durations(text))
    end)
  end

  it('are 32 at most', function()
    local parts = {}
    for index = 1, 40 do parts[index] = 't' .. index .. '=' .. index end
    local durations, count = hints.tool_durations(table.concat(parts, ';')), 0
    for _ in pairs(durations) do count = count + 1 end
    assert.equal(32, count)
    assert.equal(32, durations.t32)
  end)

  it('are not read from more than 4 KB', function()
    assert.is_nil(hints.tool_durations('a=1;' .. ('x'):rep(4096)))
    assert.same({ a = 1 }, hints.tool_durations('a=1;' .. ('x'):rep(4092)))
  end)
end)
