-- SPDX-License-Identifier: Apache-2.0
local json_edit = require 'ccrelay.util.json_edit'

describe('json_edit', function()
  it('sets a member in the style of the text', function()
    local function set(text, path, expected)
      assert.equal(expected, json_edit.set(text, path, '"v"'))
    end
    set('{"a":1}', 'b', '{"a":1,"b":"v"}')
    set('{ "a": 1 }', 'b', '{ "a": 1, "b": "v" }')
    set('{"b":  0 ,"c":1}', 'b', '{"b":  "v" ,"c":1}')
    set('{\n\t"a": 1\n}\n', 'env.B', '{\n\t"a": 1,\n\t"env": {\n\t\t"B": "v"\n\t}\n}\n')
    set('{\n  "env": {\n    "A": "x"\n  }, "z": []\n}', 'env.B',
      '{\n  "env": {\n    "A": "x",\n    "B": "v"\n  }, "z": []\n}')
    set('{\r\n    "env": {}\r\n}', 'env.B', '{\r\n    "env": {\r\n        "B": "v"\r\n    }\r\n}')
    set('{"a":1}', 'env.B', '{"a":1,"env":{"B":"v"}}')
    set('{}\n', 'env.B', '{\n  "env": {\n    "B": "v"\n  }\n}\n')
    set('{"\\u0062":1}', 'b', '{"\\u0062":"v"}')
  end)

  it('raises an error for a member of something else than an object', function()
    assert.has_error(function() json_edit.set('{"env":[]}', 'env.B', '1') end)
  end)

  it('removes a member with one comma', function()
    local function remove(text, path, expected)
      assert.equal(expected, json_edit.remove(text, path))
    end
    remove('{"a":1, "b":2, "c":3}', 'a', '{"b":2, "c":3}')
    remove('{"a":1, "b":2, "c":3}', 'b', '{"a":1, "c":3}')
    remove('{"a":1, "b":2 }', 'b', '{"a":1 }')
    remove('{ "a":1 }', 'a', '{}')
    remove('{"e":{"a":1,"b":"}"}}', 'e.b', '{"e":{"a":1}}')
    remove('{"a":1}', 'e.b', '{"a":1}')
  end)

  it('takes out what it put in, byte for byte', function()
    local texts = { '{"a":1}', '{\n  "a": [1,\n2]\n}', '{"env": {"A":1}, "b": 2}', '{ "env" : { "A" : 1 } }' }
    for _, text in ipairs(texts) do
      local path = text:find 'env' and 'env.X' or 'x'
      assert.equal(text, json_edit.remove(json_edit.set(text, path, '{"deep":[1,2]}'), path))
    end
  end)

  it('reads a member', function()
    assert.equal('"x"', json_edit.get('{"env": {"A": "x"}}', 'env.A'))
    assert.equal('2', json_edit.get('{"a":1,"a":2}', 'a'))
    assert.is_nil(json_edit.get('{"env": 1}', 'env.A'))
  end)

  it('tells the line of a fault', function()
    local function fault(text, expected, line)
      local reason, at = json_edit.fault(text)
      assert.equal(expected, reason)
      assert.equal(line, at)
    end
    fault('{"a":1}')
    fault('{"a":1,\n\n x}', 'this is not valid JSON; unexpected "x"', 3)
    fault('{"a":1,\n}', 'this is not valid JSON; unexpected "}"', 2)
    fault('{"a":1,\n', 'the JSON text ends too early', 2)
    fault('{"a":1}\n// note', 'this is not valid JSON; unexpected "/"', 2)
    fault('[1]', 'this is not a JSON object', 1)
  end)
end)
