-- SPDX-License-Identifier: Apache-2.0
local config = require 'ccrelay.config'
local helper = require 'support.config_helper'
local json = require 'cjson'
local toml = require 'ccrelay.config.toml'

local CORPUS = '../shared/corpora/toml-test/toml-test.tar.gz'

local function refused(text, what)
  local faults = helper.faults(text, 'toml')
  assert.is_truthy(faults:find(what, 1, true), ('"%s" not in "%s"'):format(what, faults))
end

describe('TOML', function()
  it('reports the line of a fault', function()
    refused('[server]\nworkers = 1\n\ntimeout_ms = 1.5\n', ':4: server.timeout_ms: found the number 1.5')
    refused('[server]\nworkers = 1\nworkers = 2\n', ':3: invalid TOML')
    refused('[[providers]]\nname = "a"\ntype = "zai"\n\n[[providers.keys]]\nkey = "k"\nprio = 1\n',
      ':7: providers[0].keys[0].prio')
  end)

  it('keeps integers exact and accepts TOML\'s notations', function()
    assert.equal(1000, helper.good('server.timeout_ms = 1_000', 'toml').server.timeout_ms)
    assert.equal(16, helper.good('server.timeout_ms = 0x10', 'toml').server.timeout_ms)
    refused('server.timeout_ms = 9007199254740993', 'found the number 9007199254740993')
    refused('server.timeout_ms = inf', 'found the number inf')
    refused('server.timeout_ms = "5"', 'found the string "5"')
  end)

  it('accepts a date where a string is expected', function()
    local text = '[[providers]]\nname = "a"\ntype = "azure"\n' ..
      'azure_resource_name = "r"\nazure_api_version = 2024-06-01\n'
    assert.equal('2024-06-01', helper.good(text, 'toml').providers[1].azure_api_version)
  end)

  it('refuses other values where a string is expected', function()
    refused('[[providers]]\nname = 5\ntype = "zai"\n', 'providers[0].name: found the number 5')
  end)
end)

describe('models that TOML assigns to another table', function()
  local head = '[[providers]]\nname = "a"\ntype = "zai"\n'

  it('are found in a key and in the mapping, with a warning', function()
    local got, warnings = helper.good(head .. '[[providers.keys]]\nkey = "k"\nmodels = ["m"]\n', 'toml')
    assert.same({ 'm' }, got.providers[1].models)
    assert.equal('configuration:6: providers[0].keys[0].models: taken as providers[0].models; ' ..
      'write it before the first [table] of this provider', config.text(warnings[1]))
    got, warnings = helper.good(head .. '[providers.model_mapping]\nx = "y"\nmodels = ["m"]\n', 'toml')
    assert.same({ 'm' }, got.providers[1].models)
    assert.same({ x = 'y' }, got.providers[1].model_mapping)
    assert.equal(1, #warnings)
  end)

  it('are a fault if given twice, and a mapping if they are a string', function()
    refused(head .. 'models = []\n[[providers.keys]]\nkey = "k"\nmodels = ["m"]\n',
      'providers[0].models is given twice')
    local got = helper.good(head .. '[providers.model_mapping]\nmodels = "m"\n', 'toml')
    assert.same({ models = 'm' }, got.providers[1].model_mapping)
  end)

  it('are the only key that is accepted there, and only in TOML', function()
    refused(head .. '[[providers.keys]]\nkey = "k"\nbase_url = "https://x"\n', 'keys[0].base_url: there is no such key')
    local faults = helper.faults('providers:\n  - {name: a, type: zai, keys: [{key: k, models: [m]}]}\n')
    assert.is_truthy(faults:find('keys[0].models: there is no such key', 1, true))
  end)
end)

describe('the suite toml-test', function()
  local kinds = { bool = 'boolean', datetime = 'date', ['datetime-local'] = 'date', ['date-local'] = 'date',
    ['time-local'] = 'date' }

  local function same_text(kind, a, b)
    if kind == 'float' then
      local x, y = tonumber(a), tonumber(b)
      return x == y or x ~= x and y ~= y
    end
    if kind == 'date' then
      a, b = a:upper():gsub(' ', 'T'), b:upper():gsub(' ', 'T')
      return a:gsub('%.%d+', '') == b:gsub('%.%d+', '')
    end
    return a == b
  end

  local function same(node, wanted)
    if type(wanted.type) == 'string' and type(wanted.value) == 'string' then
      local kind = kinds[wanted.type] or wanted.type
      return node.type == kind and same_text(kind, node.text, wanted.value)
    end
    local members = node.kind == 'list' and node.items or node.values
    for name, value in pairs(wanted) do
      if not members[name] or not same(members[name], value) then return false end
    end
    for name in pairs(members) do
      if wanted[name] == nil then return false end
    end
    return true
  end

  local function verdict(folder, name)
    local root, fault = toml.parse(helper.read(folder .. '/tests/' .. name))
    if name:find '^invalid' then return root == nil end
    if not root and fault.message == 'the file is empty' then return true end
    return root ~= nil and same(root, json.decode(helper.read(folder .. '/tests/' .. (name:gsub('toml$', 'json')))))
  end

  it('agrees on every case of TOML 1.0', function()
    if not helper.read(CORPUS) then pending('the corpus toml-test is not there') return end
    local folder = helper.folder()
    assert(os.execute(('tar -xzf %s -C %s'):format(CORPUS, folder)) == 0)
    local count, wrong = 0, {}
    for name in io.lines(folder .. '/tests/files-toml-1.0.0') do
      if name:find '%.toml$' then
        count = count + 1
        if not verdict(folder, name) then wrong[#wrong + 1] = name end
      end
    end
    helper.remove(folder)
    assert.same({}, wrong)
    assert.is_true(count > 700)
    print(('toml-test: %d cases of TOML 1.0 agree; those of 1.1 only are left out, toml++ reads 1.0'):format(count))
  end)
end)
