-- SPDX-License-Identifier: Apache-2.0
local cures = require 'ccrelay.cli.doctor.cures'

describe('the cure of a fault', function()
  local CASES = {
    ['names the near name'] = { { path = 'a', message = 'there is no such key', hint = 'strategy' },
      'there is no such key', 'write "strategy"' },
    ['is what is expected'] = { { path = 'a', found = '"x"', expected = 'a whole number' },
      'found "x"', 'change it to a whole number' },
    ['tells of what is missing'] = { { path = 'a', expected = 'a text' }, 'it is missing', 'change it to a text' },
    ['is the end of its message'] = { { path = 'a', message = 'it is spent; pay the bill' },
      'it is spent', 'pay the bill' },
    ['sets the variable'] = { { path = 'a', message = 'skipped because the variable A%1 is not set' },
      'skipped because the variable A%1 is not set', 'set A%1 where the relay starts, or remove this entry' },
    ['is in the script'] = { { file = 'p.lua', path = '', message = 'unexpected symbol' },
      'unexpected symbol', 'correct the script at this line' },
  }
  for name, case in pairs(CASES) do
    it(name, function()
      local what, cure = cures.of_fault(case[1])
      assert.same({ case[2], case[3] }, { what, cure })
    end)
  end

  it('is never missing', function()
    local what, cure = cures.of_message 'something else'
    assert.equal('something else', what)
    assert.is_true(#cure > 0)
  end)
end)
