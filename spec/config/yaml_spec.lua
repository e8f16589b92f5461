-- SPDX-License-Identifier: Apache-2.0
local helper = require 'support.config_helper'

local function refused(text, what)
  local faults = helper.faults(text)
  assert.is_truthy(faults:find(what, 1, true), ('"%s" not in "%s"'):format(what, faults))
end

local function mapping(pairs_of_yaml)
  return 'providers:\n  - name: a\n    type: zai\n    model_mapping: {' .. pairs_of_yaml .. '}\n'
end

describe('YAML scalars', function()
  it('are strings, as written, where a string is expected', function()
    local written = 'on: yes, 010: 0x10, 1:30: 1_000, a: 1.0, b: true, c: 2024-06-01, d: 9007199254740993'
    local got = helper.good(mapping(written))
    assert.same({ on = 'yes', ['010'] = '0x10', ['1:30'] = '1_000', a = '1.0', b = 'true', c = '2024-06-01',
      d = '9007199254740993' }, got.providers[1].model_mapping)
  end)

  for _, text in ipairs { '010', '0o17', '0x10', '1:30', '1_000', '1e3', '60.0', '.inf', '.nan', '2147483648', '-1',
    '"5"', '99999999999999999999999', '~', 'true', '[]', '{}', '' } do
    it('are refused where an integer is expected: ' .. text, function()
      refused('server: {timeout_ms: ' .. text .. '}', 'server.timeout_ms: found')
    end)
  end

  it('are exact integers', function()
    assert.equal(2147483647, helper.good('server: {timeout_ms: 2147483647}').server.timeout_ms)
    assert.equal(5, helper.good('server: {timeout_ms: +5}').server.timeout_ms)
    local got = helper.good('providers: [{name: a, type: zai, keys: [{key: k, priority: -3}]}]')
    assert.equal(-3, got.providers[1].keys[1].priority)
  end)

  for _, text in ipairs { 'yes', 'no', 'on', 'off', 'y', '"true"', '1', '~' } do
    it('are refused where a boolean is expected: ' .. text, function()
      refused('routing: {debug: ' .. text .. '}', 'expected true or false')
    end)
  end

  it('are booleans by the core schema', function()
    assert.is_true(helper.good('routing: {debug: True}').routing.debug)
    assert.is_false(helper.good('routing: {debug: FALSE}').routing.debug)
  end)

  it('may be "off" where that is a string', function()
    assert.equal('off', helper.good('admin: {listen: off}').admin.listen)
  end)

  it('that are empty are refused as values, and are empty sections', function()
    refused('routing:\n  default_provider:\n', 'routing.default_provider: found nothing, expected a string')
    refused('server:\n  auth:\n', 'server.auth: found nothing')
    refused('providers:\n', 'providers: found nothing')
    assert.equal('failover', helper.good('routing:\nserver: {}').routing.strategy)
  end)
end)

describe('YAML structure', function()
  it('expands anchors and merge keys', function()
    local got = helper.good [[
providers:
  - &base {name: a, type: zai, keys: &k [{key: x, priority: 7}]}
  - {<<: *base, name: b}
  - {<<: [{name: c, type: minimax}, *base]}
]]
    assert.equal(7, got.providers[2].keys[1].priority)
    assert.same({ 'b', 'b/1' }, { got.providers[2].name, got.providers[2].keys[1].id })
    assert.same({ 'c', 'minimax' }, { got.providers[3].name, got.providers[3].type })
  end)

  it('refuses a key that is given twice, also by a merge', function()
    refused('routing: {}\nserver: {}\nrouting: {}\n', ':3: the key "routing" is given twice, first on line 1')
    refused('<<: {}\n<<: {}\n', 'the key "<<" is given twice')
    refused('"on": {}\non: {}', 'given twice')
  end)

  local refusals = {
    ['a: &a [*a]'] = 'refers to itself',
    ['a: *b'] = 'an alias without an anchor before it; text that begins with "*" needs quotes',
    ['a: !b'] = 'found a tag; tags are not allowed, and text that begins with "!" needs quotes',
    ['routing: !!map {}'] = 'the tag tag:yaml.org,2002:map',
    ['routing: {strategy: ! x}'] = 'the tag !',
    ['routing: {}\n---\nserver: {}'] = ':2: a second document',
    ['%YAML 1.3\n---\na: b'] = 'invalid YAML',
    ['? [a]\n: b'] = 'a key must be plain text',
    ['? \n: b'] = 'a key is missing',
    ['&a b: c'] = 'on a key',
    ['a: [1'] = 'invalid YAML: did not find expected',
    ['<<: 5'] = '<< takes a mapping',
    ['a: "\\x00"'] = 'NUL',
    ['routing: {strategy: "fail\\aover"}'] = 'found the string',
    ['routing: {strategy: "fail\nover"}'] = 'found',
    ['a:\n\t- b'] = 'invalid YAML',
  }
  for text, what in pairs(refusals) do
    it('refuses ' .. text:gsub('%c', ' '), function() refused(text, what) end)
  end

  it('accepts a byte order mark, directives and document marks', function()
    assert.is_true(helper.good('\239\187\191%YAML 1.2\n---\nrouting: {debug: true}\n...\n').routing.debug)
  end)

  it('reads an escaped backslash before a zero as a backslash', function()
    assert.equal('C:\\0', helper.good(mapping 'a: "C:\\\\0"').providers[1].model_mapping.a)
  end)
end)
