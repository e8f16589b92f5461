-- SPDX-License-Identifier: Apache-2.0
local json = require 'ccrelay.util.json'

describe('the JSON encoder', function()
  it('sorts names', function()
    assert.equal('{"a":1,"b":[true,null],"c":"x"}', json.encode { c = 'x', b = { true, json.null }, a = 1 })
  end)

  it('tells empty arrays from empty objects', function()
    assert.equal('{"a":[],"b":{}}', json.encode { a = json.array {}, b = {} })
  end)

  it('escapes characters that must be escaped', function()
    assert.equal([["\"\\\n\r\t\u0001\u007f/"]], json.quote '"\\\n\r\t\1\127/')
    assert.equal([["\u009b31m\u202ex\u200b é"]], json.quote '\194\15531m\226\128\174x\226\128\139 é')
  end)

  it('writes numbers exactly', function()
    assert.equal('[1,0.5,1795000000000,-3,9007199254740991]',
      json.encode { 1, 0.5, 1795000000000, -3, 9007199254740991 })
  end)

  for what, value in pairs {
    ['NaN'] = 0 / 0, infinity = math.huge, ['a function'] = print, ['a coroutine'] = coroutine.create(print),
  } do
    it('refuses ' .. what, function() assert.is_false(pcall(json.encode, value)) end)
  end

  it('refuses a table that contains itself', function()
    local loop = {}
    loop[1] = loop
    assert.is_false(pcall(json.encode, loop))
  end)

  it('writes UTF-8, whatever comes in', function()
    for text, expected in pairs {
      ['h\195\164'] = 'h\195\164', ['\226\130\172'] = '\226\130\172', ['\240\159\152\128'] = '\240\159\152\128',
      ['\195'] = '\239\191\189', ['\192\128'] = '\239\191\189\239\191\189', ['\237\160\128'] = ('\239\191\189'):rep(3),
      ['\244\144\128\128'] = ('\239\191\189'):rep(4), ['\224\128\128'] = ('\239\191\189'):rep(3),
        ['a\255b'] = 'a\239\191\189b',
    } do
      assert.equal(expected, json.clean(text))
    end
  end)

  it('decodes valid JSON only', function()
    assert.same({ a = { 1 } }, json.decode '{"a":[1]}')
    for _, text in ipairs { '', '{', 'nul', '[1,]', 'null' } do assert.is_nil(json.decode(text)) end
  end)
end)

describe('JSON of shared tables', function()
  it('ends at 100000 values for a script', function()
    local shared = { 1 }
    for _ = 1, 90 do shared = { shared, shared } end
    local ok, message = pcall(json.encode_for_script, shared)
    assert.is_false(ok)
    assert.equal('more than 100000 values for JSON', message)
    assert.equal('[[1],[1]]', json.encode_for_script { { 1 }, { 1 } })
    local list = {}
    for index = 1, 100001 do list[index] = 1 end
    assert.equal(200003, #json.encode(list))
  end)
end)
