-- SPDX-License-Identifier: Apache-2.0
local config = require 'ccrelay.config'
local helper = require 'support.config_helper'

local function one(fields)
  return 'providers: [{name: a, type: zai, ' .. fields .. '}]'
end

local ANTHROPIC = { transparent = true, defaults = { base_url = 'https://api.anthropic.com' } }

local function refused(text, what, variables)
  local faults = helper.faults(text, 'yaml', variables)
  assert.is_truthy(faults:find(what, 1, true), ('"%s" not in "%s"'):format(what, faults))
end

describe('classes', function()
  it('may have any name; one that resembles a usual name causes a warning', function()
    local got, warnings = helper.good 'routing: {classes: {side_reply: x, auxilary: y, other: z}}'
    assert.same({ side_reply = 'x', auxilary = 'y', other = 'z' }, got.routing.classes)
    assert.equal(1, #warnings)
    assert.equal('configuration:1: routing.classes.auxilary: is not a known name; did you mean "auxiliary"?',
      config.text(warnings[1]))
  end)
end)

describe('traces', function()
  local TRACES = 'traces: {endpoint: "http://127.0.0.1:4318/v1/traces", headers: {authorization: "Bearer canary x"}}'

  it('need recent exchanges', function()
    refused(TRACES .. '\nserver: {recent_exchanges: 0}', 'spans are made from server.recent_exchanges, which is 0')
    assert.equal('ccrelay', helper.good(TRACES).traces.service_name)
    assert.is_nil(helper.good('traces: {}').traces.endpoint)
  end)

  it('have secret headers, which may have spaces', function()
    local shown = config.effective_json(helper.good(TRACES), {})
    assert.is_nil(shown:find('canary', 1, true), shown)
    refused('traces: {endpoint: "http://c", headers: {a: "b\\nc"}}', 'without control characters')
  end)
end)

describe('variables', function()
  it('are replaced once, and only in strings', function()
    local got = helper.good(one 'base_url: "https://${HOST:-h.example}/${P}", model_mapping: {"${P}": "${P}"}', nil,
      { P = '${Q}', Q = 'q' })
    assert.equal('https://h.example/${Q}', got.providers[1].base_url)
    assert.same({ ['${P}'] = '${Q}' }, got.providers[1].model_mapping)
  end)

  it('cannot add structure', function()
    local got = helper.good(one 'model_mapping: {a: "${V}"}', nil, { V = 'x, b: y}' })
    assert.same({ a = 'x, b: y}' }, got.providers[1].model_mapping)
    refused(one 'model_mapping: {a: "${V}"}', 'without control characters', { V = 'x\nb: y' })
  end)

  it('can hold integers and booleans', function()
    local got = helper.good('server: {timeout_ms: "${T}"}\nrouting: {debug: "${D:-true}"}', nil, { T = '7' })
    assert.equal(7, got.server.timeout_ms)
    assert.is_true(got.routing.debug)
    refused('server: {timeout_ms: "${T}"}', 'expected a whole number', { T = '0x7' })
  end)

  it('that are unset cause a key to be skipped with a warning, and the provider if it has no key left', function()
    local got, warnings = helper.good(one 'keys: [{key: "${A}"}, {key: "${B}"}]', nil, { B = 'b', A = '' })
    assert.equal(1, #got.providers[1].keys)
    assert.equal('a/2', got.providers[1].keys[1].id)
    assert.is_true(got.providers[1].enabled)
    assert.equal('configuration:1: providers[0].keys[0]: skipped because the variable A is not set',
      config.text(warnings[1]))
    assert.is_false(helper.good(one 'keys: [{key: "${A}"}]').providers[1].enabled)
    assert.is_true(helper.good(one 'enabled: true').providers[1].enabled)
  end)

  it('that are unset are a fault anywhere else', function()
    refused(one 'base_url: "${U}"', 'providers[0].base_url: the variable U is not set')
    refused(one 'keys: [{key: k, rpm_limit: "${U}"}]', 'rpm_limit: the variable U is not set')
    refused('server: {auth: {api_key: "${U}"}}', 'server.auth.api_key: the variable U is not set')
    refused('server: {auth: {api_key: ["${U}"]}}', 'server.auth.api_key[0]: the variable U is not set')
    refused('server: {auth: {clients: [{name: n, key: "${U}"}]}}', 'clients[0].key: the variable U is not set')
    refused('admin: {token: "${U}"}', 'admin.token: the variable U is not set')
  end)

  it('that are unset are no fault in a provider that is not enabled', function()
    local vertex = 'providers: [{name: v, type: vertex, enabled: false, gcp_project_id: "${U}", gcp_region: r}]'
    local got, warnings = helper.good(vertex)
    assert.is_nil(got.providers[1].gcp_project_id)
    assert.equal('configuration:1: providers[0].gcp_project_id: '
      .. 'the variable U is not set, so this key is ignored', config.text(warnings[1]))
    refused((vertex:gsub('false', 'true')), 'providers[0].gcp_project_id: the variable U is not set')
    refused((vertex:gsub('%]$', ', {name: w, type: zai, base_url: "${U}"}]')),
      'providers[1].base_url: the variable U is not set')
  end)

  it('that are empty never switch authentication off', function()
    refused('server: {auth: {api_key: "${U:-}"}}', 'server.auth.api_key: found an empty value from ${U:-}')
    refused('server: {auth: {api_key: []}}', 'server.auth.api_key: found an empty list')
    refused('server: {auth: {api_key: ""}}', 'server.auth.api_key: found an empty string')
    refused('server: {auth: {clients: []}}', 'server.auth.clients: found an empty list')
    refused(one 'keys: ', 'providers[0].keys: found nothing')
  end)

  it('for AWS keys that are unset leave the credential chain in use', function()
    local fields = 'providers: [{name: b, type: bedrock, aws_region: r, aws_access_key_id: "${I}", ' ..
      'aws_secret_access_key: "${S}"}]'
    assert.is_nil(helper.good(fields).providers[1].aws_access_key_id)
    local got = helper.good(fields, nil, { I = 'i' }).providers[1]
    assert.same({}, { got.aws_access_key_id, got.aws_secret_access_key })
    assert.equal('s', helper.good(fields, nil, { I = 'i', S = 's' }).providers[1].aws_secret_access_key)
  end)

  for _, text in ipairs { '${}', '${A-b}', '${1A}', 'x${A', '${A:-${B}}', '${A:-}${' } do
    it('must be well-formed: ' .. text, function()
      refused(one('ca_file: \'' .. text .. '\''),
        'expected ${NAME}, ${NAME:-default}, ${file:/PATH} or ${credential:NAME}')
    end)
  end
end)

describe('addresses', function()
  for _, text in ipairs { '0.0.0.0:1', '[::]:1', '192.168.0.1:1', '[::ffff:10.0.0.1]:1' } do
    it('that others can reach need authentication: ' .. text, function()
      refused(('server: {listen: "%s"}'):format(text), 'which other machines can reach')
      refused(('server: {listen: "%s", auth: {allow_bearer: true, allow_subscription: true}}'):format(text), 'reach')
      helper.good(('server: {listen: "%s", auth: {api_key: k}}'):format(text))
      helper.good(('server: {listen: "%s", auth: {bearer_secret: k}}'):format(text))
      refused(('admin: {listen: "%s"}'):format(text), 'admin.listen')
      helper.good(('admin: {listen: "%s", token: t}'):format(text))
    end)
  end

  it('that others can reach cause a warning with allow_subscription, whose credentials nobody verifies', function()
    local function warned(listen, provider, allow)
      local text = 'server: {listen: "%s", auth: {api_key: k, allow_subscription: %s}}\nproviders: [%s]'
      local _, notes = helper.load(text:format(listen, allow or 'true', provider), nil, nil,
        { adapters = { bedrock = { credentials = 'aws' }, anthropic = ANTHROPIC } })
      for _, note in ipairs(notes) do
        if note.path == 'server.auth.allow_subscription' then return note.message end
      end
    end
    local zai, bedrock = '{name: z, type: zai, keys: [{key: k}]}', '{name: b, type: bedrock, aws_region: r}'
    assert.is_truthy(warned('0.0.0.0:1', zai .. ', ' .. bedrock):find('reach 0.0.0.0:1 can use z, b with', 1, true))
    assert.is_nil(warned('0.0.0.0:1', zai, 'false'))
    assert.is_nil(warned('127.0.0.1:1', zai))
    assert.is_nil(warned('0.0.0.0:1', '{name: a, type: anthropic, keys: [{key: k}]}, {name: z, type: zai}'))
    assert.is_truthy(warned('0.0.0.0:1', '{name: a, type: anthropic, base_url: "https://a.test", keys: [{key: k}]}')
      :find('can use a with', 1, true))
  end)

  for _, text in ipairs { '127.0.0.1:0', '127.9.9.9:1', 'localhost:8787', '[::1]:1', '[::ffff:127.0.0.1]:1',
    'unix:/run/x.sock' } do
    it('that only this machine can reach need none: ' .. text, function()
      assert.same({ text }, helper.good(('server: {listen: ["%s"]}'):format(text)).server.listen)
    end)
  end

  it('take the PROXY protocol from trusted proxies only', function()
    local text = 'server: {listen: "127.0.0.1:1 proxy_protocol", trusted_proxies: %s}'
    local server = helper.good(text:format '[10.0.0.0/8, "::1", unix]').server
    assert.same({ '127.0.0.1:1 proxy_protocol' }, server.listen)
    assert.same({ '10.0.0.0/8', '::1', 'unix' }, server.trusted_proxies)
    assert.same({ '10.0.0.1' }, helper.good(text:format '10.0.0.1').server.trusted_proxies)
    refused(text:format '[]', 'proxy_protocol needs server.trusted_proxies')
    refused('admin: {listen: "127.0.0.1:1 proxy_protocol"}', 'admin.listen: found')
    refused('server: {listen: "0.0.0.0:1 proxy_protocol", trusted_proxies: unix}', 'which other machines can reach')
    for _, wrong in ipairs { '127.0.0.1:1 proxy', 'proxy_protocol', '127.0.0.1:1 proxy_protocol x' } do
      refused(('server: {listen: "%s"}'):format(wrong), 'server.listen: found')
    end
    for _, wrong in ipairs { 'localhost', '10.0.0.0/33', '10.0.0', '::/129', '10.0.0.1:80', '' } do
      refused(('server: {trusted_proxies: ["%s"]}'):format(wrong), 'an IP address, or a range')
    end
  end)

  for _, text in ipairs { ':1', '*:1', '8787', '1.2.3:1', '1.2.3.256:1', '127.0.0.1', '127.0.0.1:65536', '[::1]',
    '::1:1', '[1::2::3]:1', '[:::]:1', 'unix:x', 'unix:', 'example.com:1', '127.0.0.1:01', '127.0.0.01:1' } do
    it('must be well-formed: ' .. text, function()
      refused(('server: {listen: "%s"}'):format(text), 'server.listen: found')
    end)
  end

  for _, text in ipairs { 'http://8.8.8.8', 'http://[2001:db8::1]:80/x', 'http://172.32.0.1', 'http://[::ffff:8.8.8.8]',
    'HTTP://1.1.1.1' } do
    it('on the internet need https: ' .. text, function()
      refused(one(('base_url: "%s"'):format(text)), 'http to the public address')
      helper.good(one(('allow_http: true, base_url: "%s"'):format(text)))
    end)
  end

  for _, text in ipairs { 'http://10.1.1.1', 'http://[fd00::1]', 'http://[fe80::1]:8', 'http://172.16.0.1',
    'http://[::1]/a', 'http://[::ffff:10.0.0.1]',
    'http://host.docker.internal:11434', 'https://8.8.8.8:444/v1' } do
    it('are accepted: ' .. text, function()
      assert.equal(text, helper.good(one(('base_url: "%s"'):format(text .. '/'))).providers[1].base_url)
    end)
  end

  for _, text in ipairs { 'ftp://x', 'x', 'https://', 'https://u@x', 'https://u:p@x', 'https://x?q', 'https://x#f',
    'https://x:0', 'https://x:99999', 'https://1.2.3', 'https://0x7f000001', 'https://2130706433', 'https://a..b',
    'https://[::1', 'https://x y', 'https://' .. ('a'):rep(254) } do
    it('must be URLs: ' .. text:sub(1, 30), function()
      refused(one(('base_url: "%s"'):format(text)), 'providers[0].base_url: found')
    end)
  end
end)

describe('names and types', function()
  it('must refer to something that exists', function()
    refused('routing: {strategy: failovr}', 'did you mean "failover"?')
    refused('routing: {default_provider: ollma}', 'did you mean "ollama"?')
    refused('routing: {model_mapping: {"glm.4": x}}', 'routing.model_mapping."glm.4": found "x"')
    helper.good('routing: {strategy: model_based, default_provider: ollama, model_mapping: {qwen: ollama}}')
  end)

  it('decide which keys a provider may have', function()
    refused(one 'aws_region: r', 'providers[0].aws_region: this key belongs to type bedrock')
    refused('providers: [{name: b, type: bedrock}]', 'providers[0].aws_region: this key is required')
    refused('providers: [{name: b, type: bedrock, aws_region: r, aws_access_key_id: i}]', 'go together')
    refused('providers: [{name: v, type: vertex, gcp_region: r}]', 'gcp_project_id: this key is required')
    refused('providers: [{name: z, type: azure}]', 'azure_resource_name: this key is required unless base_url is set')
    local got = helper.good('providers: [{name: z, type: azure, base_url: "https://x"}]').providers[1]
    assert.same({ '2024-06-01', 'api_key' }, { got.azure_api_version, got.azure_auth })
  end)

  it('get further keys and defaults from the adapter', function()
    local adapters = { zai = { schema = { { 'region', 'choice', of = { 'eu', 'us' }, default = 'eu', doc = 'where' } },
      defaults = { base_url = 'https://api.example', models = { 'm' } } } }
    local got = helper.good(one 'enabled: true', nil, nil, { adapters = adapters }).providers[1]
    assert.same({ 'eu', 'https://api.example', { 'm' } }, { got.region, got.base_url, got.models })
    local faults = helper.faults(one 'region: ue', nil, nil, { adapters = adapters })
    assert.is_truthy(faults:find('providers[0].region: found the string "ue", expected eu or us', 1, true))
    adapters.zai.schema[2] = { 'other', 'section' }
    faults = helper.faults(one 'region: eu', nil, nil, { adapters = adapters })
    assert.is_truthy(faults:find('row 2 in the schema of adapter zai is malformed', 1, true))
  end)

  it('may share the keys of a cloud with an adapter of another name', function()
    local adapters = { zai = { schema = { { 'gcp_region', 'string', required = true } } } }
    local got = helper.good(one 'gcp_region: here', nil, nil, { adapters = adapters }).providers[1]
    assert.equal('here', got.gcp_region)
    local faults = helper.faults(one 'enabled: true', nil, nil, { adapters = adapters })
    assert.is_truthy(faults:find('providers[0].gcp_region: this key is required', 1, true))
    refused(one 'gcp_region: here', 'this key belongs to type vertex or claude_google')
  end)

  it('that are part of an address are not empty', function()
    refused('providers: [{name: v, type: vertex, gcp_project_id: "", gcp_region: global}]',
      'gcp_project_id: found an empty string, expected a string that is not empty')
    for _, name in ipairs { 'azure_resource_name', 'azure_deployment_id', 'azure_api_version' } do
      refused(('providers: [{name: a, type: azure, base_url: "https://x", %s: ""}]'):format(name), name .. ': found')
    end
  end)

  it('are unique if they identify something', function()
    refused('server: {auth: {api_key: k, clients: [{name: n, key: k}]}}', 'is also used by server.auth.api_key[0]')
    refused('server: {auth: {clients: [{name: n, key: k}, {name: n, key: l}]}}', 'clients[1].name: found "n" again')
  end)

  it('match a pattern', function()
    for _, name in ipairs { '"a b"', '"a/b"', '"a\\nb"', '"' .. ('x'):rep(41) .. '"', '""', '"é"' } do
      refused(('providers: [{name: %s, type: zai}]'):format(name), 'providers[0].name: found')
    end
  end)
end)

describe('limits', function()
  local function many(count, each)
    local parts = {}
    for i = 1, count do parts[i] = each:format(i) end
    return table.concat(parts)
  end

  it('allow 1024 providers, 4096 keys and 10000 models', function()
    local each = '- {name: p%d, type: zai, keys: [' .. ('{key: k},'):rep(4) .. '], models: [' .. ('m,'):rep(9) .. ']}\n'
    local got = helper.good('providers:\n' .. many(1024, each))
    assert.equal(1024, #got.providers)
    assert.equal(10000, #helper.good(one('models: [' .. ('m,'):rep(10000) .. ']')).providers[1].models)
  end)

  it('are named in the message when they are exceeded', function()
    refused('providers:\n' .. many(1025, '- {name: p%d, type: zai}\n'), 'found 1025 members, expected at most 1024')
    refused('providers:\n' .. many(2, '- {name: p%d, type: zai, keys: [' .. ('{key: k},'):rep(2049) .. ']}\n'),
      'found 4098 keys in total, expected at most 4096')
    refused('providers:\n' .. many(2, '- {name: p%d, type: zai, models: [' .. ('m,'):rep(5001) .. ']}\n'),
      'found 10002 models in total, expected at most 10000')
  end)
end)

describe('a key for compatibility', function()
  it('is refused if it promises something, and causes a warning otherwise', function()
    refused('cache: {mode: ha}', 'cache.mode: found ha, which is not implemented yet')
    local _, warnings = helper.good('cache: {ristretto: {a: [1]}, olric: 5}\nserver: {enable_http2: true}')
    assert.equal(3, #warnings)
  end)
end)

describe('an address of the relay itself', function()
  local function leads(listen, base)
    local text = ('server: {listen: "%s", auth: {api_key: k}}\nproviders: [{name: a, type: zai, base_url: "%s", '
      .. 'allow_http: true, keys: [{key: k}]}]'):format(listen, base)
    return helper.faults(text):find('the address of this relay itself', 1, true) ~= nil
  end

  for _, case in ipairs {
    { '127.0.0.1:8787', 'http://127.0.0.1:8787' }, { '127.0.0.1:8787', 'https://127.0.0.1:8787/prefix' },
    { '127.0.0.1:8787', 'http://localhost:8787' }, { '127.0.0.1:8787', 'http://LOCALHOST.:8787' },
    { '127.0.0.1:8787', 'http://x.localhost:8787' }, { '127.0.0.1:8787', 'http://0.0.0.0:8787' },
    { '127.0.0.1:8787', 'http://[::ffff:127.0.0.1]:8787' }, { 'localhost:80', 'http://localhost' },
    { '[::1]:8787', 'http://[0:0:0:0:0:0:0:1]:8787' }, { '[::1]:8787', 'http://[::]:8787' },
    { '0.0.0.0:8787', 'http://127.0.0.1:8787' }, { '0.0.0.0:8787', 'http://localhost:8787' },
    { '0.0.0.0:8787', 'http://0.0.0.0:8787' }, { '[::]:8787', 'http://127.9.9.9:8787' },
    { '[::]:8787', 'http://[::1]:8787' }, { '10.1.2.3:443', 'https://10.1.2.3' },
  } do
    it(case[2] .. ' with a listener at ' .. case[1] .. ' is refused', function()
      assert.is_true(leads(case[1], case[2]))
    end)
  end

  for _, case in ipairs {
    { '127.0.0.1:8787', 'http://127.0.0.1:8788' }, { '127.0.0.1:8787', 'http://127.0.0.2:8787' },
    { '127.0.0.1:8787', 'http://10.0.0.1:8787' }, { '127.0.0.1:8787', 'http://example.com:8787' },
    { '127.0.0.1:0', 'http://127.0.0.1:8787' }, { 'unix:/run/x.sock', 'http://127.0.0.1:8787' },
    { '0.0.0.0:8787', 'http://10.0.0.1:8787' }, { '10.1.2.3:8787', 'http://localhost:8787' },
    { '127.0.0.1:8787', 'http://localhost.example.com:8787' }, { '[::1]:8787', 'http://127.0.0.1:8787' },
  } do
    it(case[2] .. ' with a listener at ' .. case[1] .. ' is accepted', function()
      assert.is_false(leads(case[1], case[2]))
    end)
  end
end)
