-- SPDX-License-Identifier: Apache-2.0
local run = require 'ccrelay.cli.commands.run'
local schema = require 'ccrelay.config.schema'

local function row(rows, name)
  for _, one in ipairs(rows) do
    if one[1] == name then return one end
  end
end

describe('the log options of run', function()
  it('change nothing unless they are given', function()
    assert.is_nil(run.logging {})
  end)

  it('set level and format', function()
    assert.same({ level = 'warn', format = 'json' }, run.logging { log_level = 'warn', log_format = 'json' })
    assert.same({ format = 'text', pretty = true }, run.logging { log_format = 'pretty' })
  end)

  it('--debug sets all debug_options, and level debug unless another is given', function()
    local expected = {}
    for _, option in ipairs(row(row(schema.fields, 'logging').fields, 'debug_options').fields) do
      if option.type == 'boolean' then expected[option[1]] = true end
    end
    assert.same({ level = 'debug', debug_options = expected }, run.logging { debug = true })
    assert.equal('info', run.logging({ debug = true, log_level = 'info' }).level)
  end)
end)

describe('the argument of run', function()
  it('is a configuration by its extension, a strategy by its bare name, or else a policy', function()
    assert.same({ policy = 'my.lua', config = 'c.yaml' }, run.what('my.lua', 'c.yaml'))
    assert.same({ policy = './failover' }, run.what './failover')
    for _, name in ipairs { 'config.yaml', 'a/b.yml', '/etc/x.toml' } do
      assert.same({ config = name }, run.what(name))
    end
    assert.same({ strategy = 'failover', config = 'c.toml' }, run.what('failover', 'c.toml'))
    assert.same({ config = 'c.toml' }, run.what(nil, 'c.toml'))
  end)

  it('is refused when it can mean nothing', function()
    local none, message = run.what 'failovr'
    assert.is_nil(none)
    assert.truthy(message:find('did you mean "failover"?', 1, true), message)
    none, message = run.what('a.yaml', 'b.yaml')
    assert.is_nil(none)
    assert.equal('two configurations are given: "a.yaml" and --config "b.yaml"', message)
  end)
end)
