-- SPDX-License-Identifier: Apache-2.0
local shell_words = require 'ccrelay.credentials.aws.shell_words'

describe('a command line', function()
  for _, case in ipairs {
    { '', {} }, { '  ', {} }, { 'a b', { 'a', 'b' } }, { '  a\t b\n', { 'a', 'b' } },
    { [["/my program" --x "a b"]], { '/my program', '--x', 'a b' } }, { [['a "b"' c]], { 'a "b"', 'c' } },
    { [["a \"b\" \\ \n"]], { [[a "b" \ \n]] } }, { [['a\']], { [[a\]] } }, { [[a\ b\\]], { [[a b\]] } },
    { [[a"b"'c'd]], { 'abcd' } }, { [['' ""]], { '', '' } }, { '$HOME `x` # y', { '$HOME', '`x`', '#', 'y' } },
    { 'a;b|c&&d', { 'a;b|c&&d' } },
  } do
    it('is split: ' .. case[1], function() assert.same(case[2], shell_words.split(case[1])) end)
  end

  for text, part in pairs { ["a 'b"] = "' is not closed", ['a "b'] = '" is not closed',
    ['a \\'] = 'nothing follows' } do
    it('is refused: ' .. text, function()
      local list, message = shell_words.split(text)
      assert.is_nil(list)
      assert.truthy(message:find(part, 1, true))
    end)
  end
end)
