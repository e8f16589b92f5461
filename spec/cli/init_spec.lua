-- SPDX-License-Identifier: Apache-2.0
local helper = require 'support.config_helper'
local json = require 'cjson'

local script = [[
package.path = ROOT .. '/lua/?.lua;' .. ROOT .. '/lua/?/init.lua;' .. package.path
local config = require 'ccrelay.config'
local load = config.load
function config.load(options)
  options.dir = os.getenv 'TREE'
  return load(options)
end
os.exit(require('ccrelay.cli').main(arg))
]]

describe('the command line', function()
  local folder

  setup(function()
    folder = helper.folder()
    local pipe = io.popen 'pwd'
    local root = pipe:read '*l'
    pipe:close()
    helper.write(folder .. '/cli.lua', ('local ROOT = %q\n'):format(root) .. script)
    helper.write(folder .. '/good.yaml', 'server: {auth: {api_key: canary}}\n' ..
      'providers: [{name: a, type: zai, keys: [{key: "${U}"}]}]')
    helper.write(folder .. '/bad.yaml', 'server: {listn: x}')
  end)
  teardown(function() helper.remove(folder) end)

  local function run(arguments)
    local command = 'cd %s && TREE=%s HOME=%s XDG_CONFIG_HOME= CCRELAY_ADMIN_TOKEN= U= ' ..
      'luajit cli.lua %s >out 2>err; echo $?'
    local pipe = assert(io.popen(command:format(folder, helper.tree(), folder, arguments)))
    local code = tonumber(pipe:read '*a')
    pipe:close()
    return code, helper.read(folder .. '/out'), helper.read(folder .. '/err')
  end

  local function expect(arguments, code, out, err)
    local got, stdout, stderr = run(arguments)
    assert.equal(code, got, arguments .. ': ' .. stderr)
    assert.is_truthy(stdout:find(out, 1, true), stdout)
    assert.is_truthy(stderr:find(err, 1, true), stderr)
    return stdout, stderr
  end

  it('lists its commands', function()
    expect('', 64, '', 'usage: ccrelay COMMAND')
    expect('help config', 0, 'usage: ccrelay config validate', '')
    local overview = expect('help', 0, '  types      print the script API', '')
    for name, summary in overview:gmatch '\n  (%S+) +([^\n]*)' do
      assert.is_true(#summary > 10, name)
      expect('help ' .. name, 0, 'usage: ccrelay ' .. name, '')
    end
    expect('model_table', 64, '', 'unknown command "model_table"')
    expect('config show -h', 0, 'usage: ccrelay config validate', '')
    expect('help nonsense', 64, '', 'unknown command "nonsense"')
  end)

  it('refuses an unknown command and suggests the nearest name', function()
    expect('cofig', 64, '', 'did you mean "config"?')
    expect('config vlidate', 64, '', 'did you mean "validate"?')
    expect('config', 64, '', 'is missing')
    expect('config validate --confg x', 64, '', 'did you mean --config?')
    expect('version now', 64, '', 'unexpected argument "now"')
    expect('config/../config', 64, '', 'unknown command')
  end)

  it('prints the version', function()
    expect('version', 0, 'ccrelay ', '')
    expect('--version', 0, 'ccrelay ', '')
  end)

  it('validates a configuration', function()
    expect('config validate --config good.yaml', 0, 'good.yaml: valid', 'warning: good.yaml:2: providers[0].keys[0]')
    expect('config validate --config=bad.yaml', 78, '',
      'bad.yaml:1: server.listn: there is no such key; did you mean "listen"?')
    expect('config validate --config none.yaml', 78, '', 'none.yaml: there is no such file')
  end)

  it('prints only JSON on stdout, without secrets and file names, in stable order', function()
    local out, err = expect('config show --config good.yaml', 0, '', 'warning: good.yaml')
    assert.same({ '***' }, json.decode(out).server.auth.api_key)
    assert.is_nil((out .. err):find 'canary')
    assert.is_nil(out:find 'good.yaml')
    assert.equal(out, (expect('config show --config good.yaml', 0, '', '')))
    expect('config show --config bad.yaml', 78, '', 'bad.yaml:1')
  end)

  it('writes a starter file, and never overwrites one', function()
    expect('config init --output new.toml', 0, '', '')
    expect('config validate --config new.toml', 0, 'new.toml: valid', '')
    expect('config init --output new.toml', 1, '', 'new.toml already exists')
    expect('config init --output none/new.toml', 1, '', 'none/new.toml')
    helper.write(folder .. '/new.yaml', (expect('config init', 0, 'providers:', '')))
    expect('config validate --config new.yaml', 0, 'new.yaml: valid', '')
  end)

  it('prints annotations', function()
    expect('types', 0, '---@class ccrelay.Exchange\n', '')
    expect('types ccrelay.fit', 0, '---@type ccrelay.Fit\n', '')
    local out = expect('types ccrelay.credentials.cache', 64, '',
      'no script requires "ccrelay.credentials.cache"; expected ccrelay, ccrelay.fit, ccrelay.json or ccrelay')
    assert.equal('', out)
    expect('types ccrelay more', 64, '', 'unexpected argument "more"')
    expect('types --reference', 0, '#### Exchange\n', '')
    expect('types --reference ccrelay', 64, '', 'takes no MODULE')
  end)

  it('prints the schema', function()
    assert.is_truthy(json.decode((expect('config schema', 0, '', ''))).properties.server)
    expect('config schema --format markdown', 0, '| `server.listen` |', '')
  end)
end)
