-- SPDX-License-Identifier: Apache-2.0
-- What patterns of scripts may cost.
require 'support.fake_c'
local pattern_cost = require 'ccrelay.script.pattern_cost'

local MOST = 5e6

local function counted(steps)
  return string.format('%.0f', steps)
end

describe('the cost of a pattern', function()
  for pattern, size in pairs {
    ['^%s*(%w+)%s*:%s*(%w+)%s*$'] = 4096, ['[^,%s]+'] = 4096, ['^%s*(.-)%s*$'] = 3000, ['%s+$'] = 3000,
    ['claude%-(%l+)%-(%d+)%-?(%d*)$'] = 300, ['^(.-)=(.*)$'] = 3000, ['"([^"]*)"'] = 2500, ['^Bearer%s+(.+)$'] = 4096,
    ['^(%d+)%.(%d+)%.(%d+)%.?(%d*)$'] = 3000, ['^.+%.(%w+)$'] = 3000, ['(%w+)%-(%w+)'] = 2500,
    ['user_(%x+)_account__session_(.+)'] = 2500, ['^(.-)x?(.*)$'] = 4096,
    ['%f[%w]%w+'] = 4096, ['opus'] = 4096, ['[][]'] = 4096, ['%b()'] = 3000, ['^https?://([^/:]+):?(%d*)(.*)$'] = 4096,
    ['([%w_]+)=([^;]*)'] = 2500,
  } do
    it('lets ' .. pattern .. ' pass for ' .. size .. ' bytes', function()
      assert.is_true(pattern_cost.of(pattern, size) <= MOST, counted(pattern_cost.of(pattern, size)))
    end)
  end

  for pattern, size in pairs {
    ['a*a*b'] = 1050, ['.-.-.-.-.-b'] = 4000, ['^a-a-b'] = 4096, [('a?'):rep(40) .. ('a'):rep(40)] = 40,
    ['%s+$'] = 4096, ['(a*)%1%1b'] = 500, ['(.-)%s*,'] = 4096, ['^[ab]*a[ab]*a[ab]*c'] = 500, ['%w+b'] = 4096,
    ['^%w*%d*x'] = 4096, ['[^]]*]*x'] = 4096, ['%b()%b()x'] = 500,
  } do
    it('does not let ' .. pattern .. ' pass for ' .. size .. ' bytes', function()
      assert.is_true(pattern_cost.of(pattern, size) > MOST, counted(pattern_cost.of(pattern, size)))
    end)
  end

  it('is never underestimated', function()
    local function took(pattern, size)
      local began = os.clock()
      string.find(('a'):rep(size), pattern)
      return os.clock() - began
    end
    for _, pattern in ipairs {
      'a*a*b', 'a-a-b', '^a*a*a*b', 'a+b', '(a*)%1b', ('a?'):rep(12) .. 'b', '[%l]*b', '%b  ', 'a*%d*b', '^a+a?a*b',
    } do
      local size = 8
      while size < 4096 and pattern_cost.of(pattern, size * 2) <= MOST do size = size * 2 end
      assert.is_true(took(pattern, size) < 0.25, pattern)
    end
  end)

  for _, pattern in ipairs { '%', '[a', '[^', '[%', '[]', '%f', '%fa', 'a%', '(a%' } do
    it('is not told for ' .. pattern .. ', and an error says why', function()
      local ok, message = pcall(pattern_cost.of, pattern, 4096)
      assert.is_false(ok)
      assert.matches('^malformed pattern %(.*%)$', message)
    end)
  end

  for _, pattern in ipairs { '(', ')', '%b', '%b(', 'a**', '' } do
    it('of "' .. pattern .. '" is that of a text of this size at least', function()
      assert.is_true(pattern_cost.of(pattern, 4096) >= 4096)
    end)
  end
end)
