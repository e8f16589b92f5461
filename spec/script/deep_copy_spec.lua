-- SPDX-License-Identifier: Apache-2.0
local deep_copy = require 'ccrelay.script.deep_copy'

describe('a plain copy', function()
  it('is equal and shares no table', function()
    local inner, call = { 1, 2 }, function() end
    local value = { a = inner, b = inner, [3] = false, [true] = call, text = 'x' }
    local copy, message = deep_copy.copy(value, 'it')
    assert.is_nil(message)
    assert.same(value, copy)
    assert.not_equal(value, copy)
    assert.not_equal(inner, copy.a)
    assert.equal(call, copy[true])
  end)

  it('of a value that is not a table is that value', function()
    for _, value in ipairs { 5, 'x', false, print } do assert.equal(value, (deep_copy.copy(value, 'it'))) end
    assert.is_nil((deep_copy.copy(nil, 'it')))
  end)

  local cycle = {}
  cycle.cycle = cycle
  local many = {}
  for index = 1, 70000 do many[index] = index end
  for expected, value in pairs {
    ['it has a metatable'] = setmetatable({}, {}),
    ['it.a.1 has a metatable'] = { a = { setmetatable({}, { __metatable = false }) } },
    ['it has a key that is a table'] = { [setmetatable({}, { __tostring = error })] = 1 },
    ['it.a has a key that is a function'] = { a = { [print] = 1 } },
    ['is nested deeper than 32 levels'] = cycle, ['it has too many members'] = many,
  } do
    it('is refused: ' .. expected, function()
      local copy, message = deep_copy.copy(value, 'it')
      assert.is_nil(copy)
      assert.truthy(message:find(expected, 1, true), message)
    end)
  end
end)

describe('a plain table made of any table', function()
  it('has no metatables and shares no table', function()
    local inner = setmetatable({ 1 }, { __index = error, __metatable = false })
    local made = deep_copy.plain { a = inner }
    assert.same({ a = { 1 } }, made)
    assert.is_nil(debug.getmetatable(made.a))
    assert.not_equal(inner, made.a)
  end)

  it('is bounded in depth and size', function()
    local cycle, many = {}, {}
    cycle.cycle = cycle
    for index = 1, 100001 do many[index] = index end
    assert.has_error(function() deep_copy.plain(cycle) end, 'a table is nested deeper than 100 levels')
    assert.has_error(function() deep_copy.plain(many) end, 'a table has too many members')
  end)
end)
