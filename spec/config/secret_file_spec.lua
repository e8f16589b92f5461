-- SPDX-License-Identifier: Apache-2.0
-- ${file:/PATH} and ${credential:NAME} in configurations.
local bundle = require 'ccrelay.generation.bundle'
local config = require 'ccrelay.config'
local helper = require 'support.config_helper'

local folder

before_each(function() folder = helper.folder() end)
after_each(function() helper.remove(folder) end)

local function put(name, text)
  helper.write(folder .. '/' .. name, text)
  os.execute('chmod 600 ' .. folder .. '/' .. name)
end

local function one(value) return 'providers: [{name: a, type: anthropic, keys: [{key: "' .. value .. '"}]}]' end

local function key_of(value, variables)
  local got, warnings = helper.good(one(value), nil, variables)
  return (got.providers[1].keys[1] or {}).key, warnings
end

describe('a file that a value names', function()
  it('gives its text without the final line break', function()
    for text, wanted in pairs { CANARY1 = 'CANARY1', ['CANARY2\n'] = 'CANARY2', ['CANARY3\r\n'] = 'CANARY3' } do
      put('key', text)
      assert.equal(wanted, (key_of('${file:' .. folder .. '/key}')))
    end
  end)

  it('may be part of a value, and its text is not expanded again', function()
    put('key', '${A}')
    assert.equal('x-${A}-y', (key_of('x-${file:' .. folder .. '/key}-y', { A = 'no' })))
  end)

  it('may be a credential of systemd', function()
    put('anthropic.key', 'CANARY')
    assert.equal('CANARY', (key_of('${credential:anthropic.key}', { CREDENTIALS_DIRECTORY = folder })))
    local _, warnings = key_of '${credential:anthropic.key}'
    assert.matches('skipped because .*CREDENTIALS_DIRECTORY is not set', config.text(warnings[1]))
  end)

  it('that is missing or empty counts as an unset variable', function()
    local reference = '${file:' .. folder .. '/key}'
    local _, warnings = key_of(reference)
    assert.truthy(config.text(warnings[1]):find('skipped because the file of ' .. reference
      .. ' cannot be used: there is no such file', 1, true))
    put('key', '\n')
    _, warnings = key_of(reference)
    assert.matches('cannot be used: it is empty', config.text(warnings[1]))
    assert.matches('admin.token: the file of .* cannot be used: it is empty$',
      helper.faults('admin: {token: "' .. reference .. '"}'))
  end)

  it('is refused if others may write to it, unless that is allowed', function()
    put('key', 'CANARY')
    os.execute('chmod 666 ' .. folder .. '/key')
    local text = one('${file:' .. folder .. '/key}')
    local _, warnings = helper.good(text)
    assert.matches('refused: everybody may write to it', config.text(warnings[1]))
    local got = helper.good(text, nil, nil, { check_permissions = false })
    assert.equal('CANARY', got.providers[1].keys[1].key)
  end)

  it('with several lines is a fault, whose message does not show them', function()
    put('key', 'CANARY\nCANARY')
    local faults = helper.faults(one('${file:' .. folder .. '/key}'))
    assert.matches('found the value of a variable %(not shown%)', faults)
    assert.is_nil(faults:find('CANARY', 1, true))
  end)

  it('must have an absolute path, and a credential a name', function()
    for _, inside in ipairs { 'file:key', 'file:', 'credential:', 'credential:../key', 'secret:x' } do
      assert.matches('expected %${NAME}', helper.faults(one('${' .. inside .. '}')), inside)
    end
    assert.equal('CANARY', (key_of('${file:-CANARY}')))
  end)

  it('is not read for tables, which may come from a script', function()
    put('key', 'CANARY')
    local keys = { { key = '${file:' .. folder .. '/key}' } }
    local got, warnings = config.load { data = { providers = { { name = 'a', type = 'anthropic', keys = keys } } } }
    assert.same({}, got.providers[1].keys)
    assert.matches('only a configuration file may name files', config.text(warnings[1]))
  end)
end)

describe('a generation', function()
  local options

  before_each(function()
    put('key', 'CANARY1\n')
    put('config.yaml', one('${file:' .. folder .. '/key}') .. ' # ${file:' .. folder .. '/none}\n')
    options = { config = folder .. '/config.yaml', insecure = false, watch = true }
  end)

  it('is built from the files as they were read', function()
    local read = assert(bundle.read(options))
    put('key', 'CANARY2')
    local built = assert(bundle.build(read, options))
    assert.equal('CANARY1', built.configuration.providers[1].keys[1].key)
  end)

  it('changes when a file changes or appears, and its folder is watched', function()
    local first = bundle.saved(options)
    assert.is_true(bundle.same(first, bundle.saved(options)))
    put('key', 'CANARY2')
    local second = bundle.saved(options)
    assert.is_false(bundle.same(first, second))
    put('none', 'x')
    assert.is_false(bundle.same(second, bundle.saved(options)))
    local watched = table.concat(bundle.folders(options, first), '\n') .. '\n'
    assert.truthy(watched:find(folder .. '\n', 1, true))
  end)
end)
