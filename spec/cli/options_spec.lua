-- SPDX-License-Identifier: Apache-2.0
local options = require 'ccrelay.cli.options'

local specs = {
  { name = 'config', type = 'text' },
  { name = 'insecure-permissions', type = 'flag' },
  { name = 'level', type = 'choice', of = { 'info', 'warn' } },
  { name = 'wait', type = 'integer' },
  { name = 'listen', type = 'text', many = true },
}

local function parse(...)
  return options.parse({ ... }, specs, 1)
end

local function refused(what, ...)
  local values, message = parse(...)
  assert.is_nil(values)
  assert.equal(what, message)
end

describe('options', function()
  it('are taken in both forms, before and after arguments', function()
    local values, rest = parse('--config=a=b', 'x', '--level', 'warn', '--insecure-permissions', '--wait', '7')
    assert.same({ config = 'a=b', level = 'warn', insecure_permissions = true, wait = 7 }, values)
    assert.same({ 'x' }, rest)
  end)

  it('can be repeated where that is allowed', function()
    assert.same({ 'a', 'b' }, parse('--listen', 'a', '--listen=b').listen)
  end)

  it('end at --', function()
    local _, rest = parse('--', '--config')
    assert.same({ '--config' }, rest)
  end)

  it('are refused when they are unknown, given twice, without a value or with a wrong one', function()
    refused('unknown option --confg; did you mean --config?', '--confg', 'x')
    refused('unknown option --zzzzzz', '--zzzzzz')
    refused('unknown option -x', '-x')
    refused('--config is given twice', '--config', 'a', '--config', 'b')
    refused('--config needs a value', '--config')
    refused('--config needs a value', '--config', '--wait')
    refused('--config needs a value', '--config=')
    refused('--insecure-permissions takes no value', '--insecure-permissions=yes')
    refused('--level: found "inf", expected info or warn', '--level', 'inf')
    refused('--wait: found "1.5", expected a whole number', '--wait', '1.5')
    refused('unexpected argument "b"', 'a', 'b')
  end)

  it('include --help anywhere before --', function()
    assert.is_true(options.wants_help { 'x', '-h' })
    assert.is_true(options.wants_help { '--help' })
    assert.is_false(options.wants_help { '--', '--help' })
  end)
end)
