-- SPDX-License-Identifier: Apache-2.0
local lists = require 'ccrelay.util.lists'

describe('the names in a table', function()
  it('are in alphabetical order', function()
    assert.same({ 'a', 'b', 'c' }, lists.names { c = 1, a = false, b = {} })
    assert.same({}, lists.names {})
  end)
end)

describe('a list', function()
  it('contains its items', function()
    assert.is_true(lists.contains({ 'a', 'b' }, 'b'))
    assert.is_false(lists.contains({ 'a', 'b' }, 'c'))
    assert.is_false(lists.contains({}, nil))
  end)
end)
