-- SPDX-License-Identifier: Apache-2.0
local memoize = require 'ccrelay.util.memoize'

describe('memoize', function()
  local calls

  local function count(text)
    calls = calls + 1
    return #text > 3
  end

  before_each(function() calls = 0 end)

  it('computes once for a text, also if the result is false', function()
    local f = memoize.results(count)
    assert.is_true(f 'long')
    assert.is_true(f 'long')
    assert.is_false(f 'no')
    assert.is_false(f 'no')
    assert.equal(2, calls)
  end)

  it('keeps only the results that it is told to keep', function()
    local f = memoize.results(count, function(_, result) return result end)
    f 'no'
    f 'no'
    f 'long'
    f 'long'
    assert.equal(3, calls)
  end)

  it('keeps no result for a long text', function()
    local f, text = memoize.results(count), string.rep('x', 129)
    f(text)
    f(text)
    assert.equal(2, calls)
  end)

  it('starts anew when it is full', function()
    local f = memoize.results(count)
    for index = 1, 257 do f('text ' .. index) end
    f 'text 257'
    assert.equal(257, calls)
    f 'text 1'
    assert.equal(258, calls)
  end)
end)
