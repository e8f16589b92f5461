-- SPDX-License-Identifier: Apache-2.0
-- ccrelay check, as the program does it.
local helper = require 'support.config_helper'

local function program()
  return os.getenv 'CCRELAY_BIN' or (os.getenv 'CCRELAY_LIB':gsub('libccrelay%.so$', 'ccrelay'))
end

local PAGE = [[
providers:
  - {name: ollama, type: ollama, keys: [{key: ollama, priority: 0}], models: ["qwen3:8b"],
     model_mapping: {"claude-haiku-3-5": "qwen3:8b", "claude-haiku-3-5-20241022": "qwen3:8b"}}
  - {name: zai, type: zai, keys: [{key: "${Z}", priority: 1}, {key: "${Z}2", priority: 1}], models: ["GLM-4.7"],
     model_mapping: {"claude-haiku-3-5": "GLM-4.5-Air", "claude-haiku-3-5-20241022": "GLM-4.5-Air"}}
  - {name: anthropic, type: anthropic, keys: [{key: "${A}", priority: 2}], models: ["claude-opus-4-5-20250514"]}
]]

local HEAD = "local relay = require 'ccrelay'\nreturn function(exchange)\n"

describe('ccrelay check', function()
  local folder, root

  setup(function()
    folder = helper.folder()
    local pipe = io.popen 'pwd'
    root = pipe:read '*l'
    pipe:close()
  end)
  teardown(function() helper.remove(folder) end)

  local function run(configuration, arguments, policy)
    helper.write(folder .. '/c.yaml', configuration)
    if policy then helper.write(folder .. '/mine.lua', policy) end
    local command = 'cd %s && CCRELAY_ROOT=%s A=a Z=z timeout 60 %s check %s %s --config c.yaml >out 2>err; echo $?'
    local pipe = assert(io.popen(command:format(folder, root, program(), policy and 'mine.lua' or '', arguments or '')))
    local code = tonumber(pipe:read '*a')
    pipe:close()
    return code, helper.read(folder .. '/out'), helper.read(folder .. '/err')
  end

  local function has(text, part)
    assert.is_truthy(text:find(part, 1, true), text)
  end

  it('prints which upstreams are tried for which model, in order', function()
    local code, out, err = run(PAGE)
    assert.same({ 0, '' }, { code, (err:gsub('[^\n]*everybody can read[^\n]*\n', '')) })
    has(out, 'c.yaml: valid\n')
    local rows = {}
    for model, row in out:gmatch '\n  (%S+)%s%s+([^\n]*)' do rows[model] = row end
    local haiku = 'anthropic, zai/1 as GLM-4.5-Air, zai/2 as GLM-4.5-Air, ollama as qwen3:8b'
    for model, row in pairs {
      ['claude-haiku-3-5'] = haiku, ['claude-haiku-3-5-20241022'] = haiku, ['claude-sonnet-4-5'] = 'anthropic',
      ['claude-opus-4-5-20250514'] = 'anthropic', ['GLM-4.7'] = 'zai/1, zai/2', ['qwen3:8b'] = 'ollama',
    } do assert.equal(row, rows[model], model) end
    has(out, '\n  any other name')
    has(out, 'ollama is also tried for the models that it lists')
  end)

  for model, row in pairs {
    ['claude-haiku-3-5'] = 'anthropic, zai/1 as GLM-4.5-Air, zai/2 as GLM-4.5-Air, ollama as qwen3:8b',
    ['GLM-4.7'] = 'zai/1, zai/2', ['unheard-of'] = 'anthropic, zai/1, zai/2, ollama',
  } do
    it('prints one row for --model ' .. model, function()
      local code, out = run(PAGE, '--model ' .. model)
      assert.same({ 0, row .. '\n' }, { code, out })
    end)
  end

  it('says that none is tried where serves excludes a model everywhere', function()
    local _, out = run('providers: [{name: a, type: anthropic, serves: ["claude-haiku-*"]}]', '--model claude-opus-5')
    assert.equal('none\n', out)
  end)

  it('marks providers that are used with the client\'s own credential', function()
    local _, out = run('providers: [{name: a, type: anthropic}]', '--model claude-opus-5')
    assert.equal('a (client\'s credential)\n', out)
  end)

  for what, case in pairs {
    ['a base_url with /v1'] = { 'base_url: "https://x.example/v1"', 'providers[0].base_url: requests go to '
      .. 'https://x.example/v1/v1/messages; remove "/v1" here' },
    ['a base_url with /v1/messages/'] = { 'base_url: "https://x.example/v1/messages/"', 'remove "/v1/messages" here' },
    ['a key like $KEY'] = { 'keys: [{key: "$KEY"}]', 'providers[0].keys[0].key: write variables as ${NAME}' },
    ['a key like os.environ/KEY'] = { 'keys: [{key: "os.environ/KEY"}]', 'keys[0].key: write variables as ${NAME}' },
    ['a key in quotes'] = { "keys: [{key: '\"sk-canary\"'}]", 'keys[0].key: the quotes are part of the key' },
    ['a key in single quotes'] = { 'keys: [{key: "\'sk-canary\'"}]', 'keys[0].key: the quotes are part of the key' },
    ['a star within a mapped name'] = { 'model_mapping: {"claude-*-5": GLM}', '[0].model_mapping: "*" is a wildcard' },
    ['a star within a listed name'] = { 'models: ["*-5"]', 'providers[0].models[0]: "*" is a wildcard only at' },
    ['a star within serves'] = { 'serves: ["a*b"]', 'providers[0].serves[0]: "*" is a wildcard' },
    ['a provider that is never tried'] = { 'keys: [{key: k}], models: [GLM-5], serves: ["claude-haiku-*"]',
      'providers.z: is never tried' },
  } do
    it('warns of ' .. what, function()
      local fields = case[1]:find '^keys' and case[1] or case[1] .. ', keys: [{key: k}]'
      local _, _, err = run('providers: [{name: z, type: zai, ' .. fields .. '}, {name: a, type: anthropic}]')
      has(err, case[2])
      assert.is_nil(err:find('sk-canary', 1, true), err)
    end)
  end

  it('gives no warning without a reason', function()
    local _, _, err = run('providers: [{name: v, type: vertex, gcp_project_id: p, gcp_region: us-east5, '
      .. 'base_url: "https://v.example/v1"}, {name: z, type: zai, keys: [{key: "a$b"}], models: ["GLM-*", "*"]}]')
    for _, words in ipairs { 'remove', 'write variables', 'quotes', 'wildcard', 'never tried' } do
      assert.is_nil(err:find(words, 1, true), err)
    end
  end)

  for code, message in pairs {
    ['return exchange:frist(relay.upstreams(exchange)) end'] =
      'warning: mine.lua:3: an exchange has no "frist"; did you mean "first"? (with a plain request)',
    ['if exchange.stream == true then pirnt() end return exchange:first(relay.upstreams(exchange)) end'] =
      'mine.lua:3: there is no global "pirnt"; did you mean "print"? (with a stream)',
    ['if exchange.class == "compaction" then local x = exchange.modle end\n'
      .. 'return exchange:first(relay.upstreams(exchange)) end'] =
      'mine.lua:3: an exchange has no "modle"; did you mean "model"? (with a request of class compaction)',
    ['local o = exchange:first(relay.upstreams(exchange)) if not o.ok then local x = o.stauts end return o end'] =
      'an outcome has no "stauts"; did you mean "status"? (with a plain request while all providers fail)',
    ['while true do end end'] = 'mine.lua:3: the script ran for more than',
    ['return exchange:first(relay.upstreams(exchange, { provider = "b" })) end'] =
      'mine.lua:3: there is no provider "b"; expected a (with a plain request)',
  } do
    it('warns of an error of a policy: ' .. code, function()
      local status, out, err = run('server: {auth: {api_key: canary}}\nproviders: [{name: a, type: anthropic, '
        .. 'keys: [{key: k}]}]', nil, HEAD .. code)
      assert.equal(0, status, err)
      has(err, (message:gsub('; did you mean "print"%?', '')))
      has(out, 'mine.lua: valid\n')
      assert.is_nil(err:find('canary', 1, true))
    end)
  end

  it('finds no error in the policies of the package', function()
    for _, name in ipairs { 'failover', 'race', 'round_robin', 'shuffle', 'least_loaded', 'session_sticky', 'by_class',
      'weighted_failover', 'weighted_round_robin', 'cheapest' } do
      local policy = helper.read('policies/' .. name .. '.lua')
      local status, _, err = run(PAGE:gsub('"%${%u}2?"', 'key'), nil, policy)
      assert.equal(0, status)
      assert.is_nil(err:find('mine.lua', 1, true), name .. ': ' .. err)
    end
  end)

  it('takes --model only once and with a name', function()
    local code, _, err = run(PAGE, '--model')
    assert.equal(64, code)
    has(err, '--model needs a value')
  end)
end)
