-- SPDX-License-Identifier: Apache-2.0
local config = require 'ccrelay.config'
local helper = require 'support.config_helper'
local json = require 'ccrelay.util.json'

local function provider(lines)
  return 'providers:\n  - name: a\n    type: zai\n' .. lines
end

describe('config.load', function()
  it('fills in every default', function()
    local got = helper.good(provider '    keys: [{key: k}]\n')
    assert.same({ '127.0.0.1:8787' }, got.server.listen)
    assert.equal('auto', got.server.workers)
    assert.equal(600000, got.server.timeout_ms)
    assert.equal(300000, got.server.idle_ms)
    assert.equal(0, got.server.total_ms)
    assert.equal(0, got.server.max_concurrent)
    assert.equal(33554432, got.server.max_body_bytes)
    assert.same({ allow_bearer = false, bearer_secret = '', allow_subscription = false }, got.server.auth)
    assert.is_nil(got.server.tls)
    assert.same({ { key = 'k', id = 'a/1', rpm_limit = 0, burst = 0, tpm_limit = 0, itpm_limit = 0, otpm_limit = 0,
      priority = 1, weight = 1 } }, got.providers[1].keys)
    assert.same({ enabled = true, strategy = 'least_loaded' }, got.providers[1].pooling)
    assert.same({ strategy = 'failover', failover_timeout = 5000, queue_ms = 0, model_mapping = {},
      race_on_failure = false, classes = {}, prices = {}, budget_per_day = 0, budget_per_week = 0,
      budget_per_month = 0, model_budgets = {}, debug = false }, got.routing)
    assert.same({ enabled = true, interval_ms = 10000 }, got.health.health_check)
    assert.same({ failure_threshold = 5, open_duration_ms = 30000, half_open_probes = 3 }, got.health.circuit_breaker)
    assert.equal('auto', got.logging.pretty)
    assert.equal(1000, got.logging.debug_options.max_body_log_size)
    assert.same({ listen = '127.0.0.1:8788', token = '' }, got.admin)
    assert.equal('single', got.cache.mode)
    assert.is_true(got.metrics.enabled)
  end)

  it('takes the token of the admin listener from the environment by default', function()
    assert.equal('t', helper.good(provider '', 'yaml', { CCRELAY_ADMIN_TOKEN = 't' }).admin.token)
  end)

  it('reports all faults at once: file, line, path, what was found and expected, the nearest name', function()
    local text = 'server:\n  timeout_ms: soon\n  listn: x\nproviders:\n  - name: a\n    type: zai\n    keys:\n' ..
      '      - key: k\n        rpm_limit: -1\n  - name: a\n    type: antropic\n'
    local _, list = helper.load(text, nil, nil, { path = 'c.yaml' })
    local lines = {}
    for i, fault in ipairs(list) do lines[i] = tostring(fault) end
    assert.same({
      'c.yaml:2: server.timeout_ms: found the string "soon", expected a whole number from 0 to 2147483647',
      'c.yaml:3: server.listn: there is no such key; did you mean "listen"?',
      'c.yaml:9: providers[0].keys[0].rpm_limit: found the number -1, expected a whole number from 0 to 2147483647',
      'c.yaml:10: providers[1].name: found "a" again, expected a unique name; providers[0] has this one',
      'c.yaml:11: providers[1].type: found the string "antropic", ' ..
        'expected one of anthropic, azure, bedrock, minimax, ollama, vertex, zai; did you mean "anthropic"?',
    }, lines)
  end)

  it('never shows a secret in a fault', function()
    local text = 'server:\n  auth:\n    api_key: ["canary one"]\n    bearer_secret: "canary\\ttwo"\n' ..
      '    clients: [{name: x, key: "${BAD}"}]\n' .. provider '    keys: [{key: "canary three"}, {key: [canary]}]\n'
    local faults = helper.faults(text, nil, { BAD = 'canary\nfour' })
    assert.equal(5, select(2, faults:gsub('[^\n]+', '')))
    assert.is_nil(faults:find 'canary')
  end)

  for _, text in ipairs {
    provider '    keys: [canary-key]\n', provider '    keys: canary-key\n', 'providers: canary-key\n',
    provider '    base_url: https://user:canary@example.com\n',
    provider '    base_url: https://example.com/?key=canary\n',
    'traces: {endpoint: "https://user:canary@example.com"}\n',
    'traces: {endpoint: "http://127.0.0.1:1", headers: "authorization=Bearer canary"}\n',
    'server: {auth: {clients: [{name: x, key_sha256: canary}]}}\n', 'server: {auth: {clients: [canary]}}\n',
    'server: {auth: canary}\n', 'server: {listen: "http://user:canary@0.0.0.0:1"}\n', 'admin: canary\n',
    'admin: {listen: "http://user:canary@0.0.0.0:1"}\n', 'admin: {token: *canary}\n', 'admin: {token: !canary x}\n',
  } do
    it('does not show a secret in the wrong place: ' .. text:gsub('%s+', ' '), function()
      local faults = helper.faults(text)
      assert.is_nil(faults:find 'canary', faults)
      assert.matches(':%d', faults)
    end)
  end

  it('uses the providers of the embedded default for a file without any', function()
    local got = helper.good('server: {auth: {allow_subscription: true}}', nil, { ZAI_API_KEY = 'z' })
    assert.is_true(got.server.auth.allow_subscription)
    local names = {}
    for i, one in ipairs(got.providers) do names[i] = one.name end
    assert.same({ 'anthropic', 'zai', 'ollama' }, names)
    assert.is_false(helper.good('routing: {}').server.auth.allow_subscription)
  end)

  it('prefers values of the command line to those of the file', function()
    local more = { override = { server = { listen = '127.0.0.1:0' }, logging = { level = 'debug' } } }
    local got = helper.good('server: {listen: "127.0.0.1:1", workers: 2}', nil, nil, more)
    assert.same({ '127.0.0.1:0' }, got.server.listen)
    assert.equal(2, got.server.workers)
    assert.equal('debug', got.logging.level)
  end)

  it('checks what a script declares by the same schema', function()
    local data = { providers = { { name = 's', type = 'zai', keys = { { key = 'k', rpm_limit = 5 } } } } }
    assert.equal(5, assert(config.load { data = data, dir = helper.tree() }).providers[1].keys[1].rpm_limit)
    data.providers[1].keys[1].rpm_limit = 1.5
    local _, faults = config.load { data = data, name = 'p.lua', dir = helper.tree() }
    assert.equal('p.lua: providers[0].keys[0].rpm_limit: found the number 1.5, ' ..
      'expected a whole number from 0 to 2147483647', tostring(faults[1]))
  end)

  it('refuses an empty file, one without content, and one that is not a mapping', function()
    for _, text in ipairs { '', '   \n', '# nothing\n', '---\n', '[]', 'text' } do
      assert.not_equal('', helper.faults(text))
    end
    assert.equal('configuration: the file is empty', helper.faults('', 'toml'))
  end)
end)

describe('the embedded default', function()
  local function embedded(variables)
    local options = { dir = helper.tree(), env = function(name) return variables[name] end }
    return assert(config.load(options))
  end

  it('needs no variable', function()
    local got = embedded {}
    assert.same({ '127.0.0.1:8787' }, got.server.listen)
    assert.is_true(got.server.auth.allow_subscription)
    assert.equal(2, #got.providers)
    assert.same({}, got.providers[1].keys)
    assert.is_true(got.providers[1].enabled)
    assert.equal('http://localhost:11434', got.providers[2].base_url)
    assert.equal(0, got.providers[2].keys[1].priority)
    assert.equal('built-in configuration', got.source)
  end)

  it('uses the keys whose variables are set', function()
    local got = embedded { ANTHROPIC_API_KEY = 'a', ZAI_API_KEY = 'z' }
    assert.equal('a', got.providers[1].keys[1].key)
    assert.equal(2, got.providers[1].keys[1].priority)
    assert.equal('z', got.providers[2].keys[1].key)
    assert.equal(1, got.providers[2].keys[1].priority)
  end)
end)

describe('config.effective_json', function()
  it('masks every secret, and shows empty lists as lists', function()
    local text = 'server:\n  auth:\n    api_key: canary-a\n    bearer_secret: canary-b\n' ..
      '    clients: [{name: x, key: canary-c}]\n' ..
      'admin: {token: canary-d}\nproviders:\n  - name: b\n    type: bedrock\n    aws_region: r\n' ..
      '    aws_access_key_id: canary-e\n    aws_secret_access_key: canary-f\n    aws_session_token: canary-g\n' ..
      '    keys: [{key: canary-h}]\n'
    local shown = config.effective_json(helper.good(text))
    assert.is_nil(shown:find 'canary')
    local got = assert(json.decode(shown))
    assert.same({ '***' }, got.server.auth.api_key)
    assert.equal('***', got.providers[1].keys[1].key)
    assert.is_truthy(shown:find('"models":[]', 1, true))
    assert.is_nil(shown:find('b/1', 1, true))
  end)
end)

describe('config.restarts', function()
  it('names what a reload cannot change', function()
    local old = helper.good('server: {workers: 1}\nlogging: {level: info}')
    assert.same({}, config.restarts(old, helper.good('server: {workers: 1, timeout_ms: 5}\nlogging: {level: warn}')))
    local new = helper.good('server: {workers: 2, listen: "127.0.0.1:9", tls: {cert: c, key: k}}\nadmin: {listen: off}')
    assert.same({ 'server.listen', 'server.workers', 'server.tls', 'admin.listen' }, config.restarts(old, new))
  end)
end)

describe('generated from the schema: the', function()
  local function loads(text, format, variables)
    return helper.good(text, format, variables)
  end

  for _, format in ipairs { 'yaml', 'toml' } do
    it('starter file in ' .. format .. ' loads as it is', function()
      local got = loads(config.init_text(format), format)
      assert.equal('ollama', got.providers[3].name)
    end)

    it('starter file in ' .. format .. ' loads with every line uncommented', function()
      local text = config.init_text(format):gsub('\n( *)#([^ ])', '\n%1%2')
      local got = loads(text, format, setmetatable({}, { __index = function(_, name) return 'value-of-' .. name end }))
      assert.equal('alice', got.server.auth.clients[1].name)
      assert.equal('value-of-ANTHROPIC_API_KEY', got.providers[1].keys[1].key)
    end)
  end

  it('starter files in both formats mean the same', function()
    local a, b = loads(config.init_text 'yaml', 'yaml'), loads(config.init_text 'toml', 'toml')
    assert.same(a, b)
  end)

  it('reference names every key', function()
    local reference = config.reference()
    local names = { 'server.listen', 'providers[].keys[].rpm_limit', 'server.auth.clients[].name', 'cache.mode' }
    for _, name in ipairs(names) do
      assert.is_truthy(reference:find('| `' .. name .. '` |', 1, true), name)
    end
  end)

  it('reference, JSON Schema and output of config show have the keys of adapters', function()
    local adapters = {
      zai = { schema = { { 'region', 'string', required = true, doc = 'where' }, { 'pin', 'string', secret = true } } },
      ollama = { schema = { { 'region', 'integer' }, { 'pin', 'string' }, { 'base_url', 'string' } } },
    }
    local text = 'providers: [{name: z, type: zai, region: here, pin: canary}]'
    local shown = json.decode(config.effective_json(helper.good(text, nil, nil, { adapters = adapters }), adapters))
    assert.same({ 'here', '***' }, { shown.providers[1].region, shown.providers[1].pin })
    local reference = config.reference(adapters)
    assert.is_truthy(reference:find('| `providers[].region` | anything |', 1, true))
    assert.is_truthy(reference:find('(type ollama, zai)', 1, true))
    local item = json.decode(json.encode(config.json_schema(adapters))).properties.providers.items
    assert.same({ 'name', 'type' }, item.required)
    assert.is_truthy(item.properties.region and item.properties.pin)
    assert.is_nil(json.decode(json.encode(config.json_schema())).properties.providers.items.properties.region)
  end)

  it('JSON Schema allows no unknown key and knows the defaults', function()
    local schema = assert(json.decode(json.encode(config.json_schema())))
    assert.is_false(schema.additionalProperties)
    assert.equal(5000, schema.properties.routing.properties.failover_timeout.default)
    assert.same({ 'name', 'type' }, schema.properties.providers.items.required)
  end)
end)

describe('text of a configuration in a message', function()
  it('contains no control characters of terminals', function()
    local printable = require('ccrelay.util.fault').printable
    assert.equal('a\\x1b[2J\\u009b\\u202eb', printable 'a\27[2J\194\155\226\128\174b')
    assert.equal('é中\239\191\189', printable 'é中\155')
  end)
end)
