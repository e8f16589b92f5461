-- SPDX-License-Identifier: Apache-2.0
-- Blocks as users of such relays write them, in both forms: those below, and those of the document
-- the project was started from, where it is present.
local helper = require 'support.config_helper'

local DOCUMENT = '../shared/seeds/providers.ja.md'

local variables = { ANTHROPIC_API_KEY = 'a', ZAI_API_KEY = 'z', AZURE_API_KEY = 'az', GOOGLE_CLOUD_PROJECT = 'g',
  AWS_ACCESS_KEY_ID = 'i', AWS_SECRET_ACCESS_KEY = 's' }

local function is_fragment(text)
  return not (text:find '\n%[*server' or text:find '\n%[*providers' or text:find '\n%[*routing')
end

local function wrap(text, format)
  if not is_fragment('\n' .. text) then return text end
  if format == 'yaml' then
    return 'providers:\n  - name: wrapped\n    type: zai\n    ' .. text:gsub('\n', '\n    ')
  end
  local head = '[[providers]]\nname = "wrapped"\ntype = "zai"\n'
  return head .. text:gsub('%[model_mapping%]', '[providers.model_mapping]')
end

local function blocks(text, format)
  local list = {}
  for block in ('\n' .. text):gmatch('\n```' .. format .. '\n(.-)\n```') do list[#list + 1] = block end
  return list
end

local function compare(yaml, toml)
  local a = helper.good(wrap(yaml, 'yaml'), 'yaml', variables)
  local b = helper.good(wrap(toml, 'toml'), 'toml', variables)
  assert.same(a, b)
  return a
end

local own = [=[
```yaml
providers:
  - name: "main"
    type: "zai"
    enabled: true
    base_url: "https://api.z.ai/api/anthropic"
    keys:
      - key: "${ZAI_API_KEY}"
        rpm_limit: 60
        priority: 2
    model_mapping:
      "claude-sonnet-4-5": "GLM-4.7"
    models:
      - "GLM-4.7"
routing:
  strategy: failover
```
```toml
[[providers]]
name = "main"
type = "zai"
enabled = true
base_url = "https://api.z.ai/api/anthropic"
[[providers.keys]]
key = "${ZAI_API_KEY}"
rpm_limit = 60
priority = 2
[providers.model_mapping]
"claude-sonnet-4-5" = "GLM-4.7"
models = ["GLM-4.7"]
[routing]
strategy = "failover"
```
```yaml
model_mapping:
  "claude-haiku-3-5": "GLM-4.5-Air"
models:
  - "GLM-4.5-Air"
```
```toml
models = ["GLM-4.5-Air"]
[model_mapping]
"claude-haiku-3-5" = "GLM-4.5-Air"
```
```yaml
providers:
  - {name: b, type: bedrock, aws_region: us-east-1, keys: [{key: bedrock-internal}]}
  - {name: v, type: vertex, gcp_project_id: "${GOOGLE_CLOUD_PROJECT}", gcp_region: us-east5}
  - {name: o, type: ollama, base_url: "http://host.docker.internal:11434"}
```
```toml
providers = [
  {name = "b", type = "bedrock", aws_region = "us-east-1", keys = [{key = "bedrock-internal"}]},
  {name = "v", type = "vertex", gcp_project_id = "${GOOGLE_CLOUD_PROJECT}", gcp_region = "us-east5"},
  {name = "o", type = "ollama", base_url = "http://host.docker.internal:11434"},
]
```
]=]

-- Every key that the example configuration of cc-relay has.
local cc_relay = [=[
server: {listen: "127.0.0.1:8787", timeout_ms: 600000, max_concurrent: 0, enable_http2: true,
  auth: {allow_subscription: true}}
routing: {strategy: failover, failover_timeout: 5000, debug: false}
providers:
  - {name: pool, type: anthropic, enabled: true, models: [claude-opus-4-5], keys: [{key: "${ANTHROPIC_API_KEY}",
      rpm_limit: 60, tpm_limit: 100000}]}
  - {name: zai, type: zai, enabled: true, base_url: "https://api.z.ai/api/anthropic", models: [GLM-4.7],
      keys: [{key: "${ZAI_API_KEY}"}], model_mapping: {claude-sonnet-4-5: GLM-4.7}}
  - {name: ollama, type: ollama, enabled: true, base_url: "http://localhost:11434",
      model_mapping: {claude-sonnet-4-5: "qwen3:32b"}}
  - {name: bedrock, type: bedrock, enabled: false, aws_region: us-east-1,
      model_mapping: {claude-sonnet-4-5: "anthropic.claude-sonnet-4-5-20250929-v1:0"}}
  - {name: azure, type: azure, enabled: false, azure_resource_name: mine, azure_api_version: "2024-06-01",
      keys: [{key: "${AZURE_API_KEY}"}], model_mapping: {claude-haiku-4-5: claude-haiku-4-5}}
  - {name: vertex, type: vertex, enabled: false, gcp_project_id: "${GOOGLE_CLOUD_PROJECT}", gcp_region: us-east5,
      model_mapping: {claude-sonnet-4-5: claude-sonnet-4-5@20250929}}
cache: {mode: single, ristretto: {num_counters: 1000000, max_cost: 104857600, buffer_items: 64}}
grpc: {listen: "127.0.0.1:9090"}
logging: {level: info, format: text}
metrics: {enabled: true, prometheus_endpoint: /metrics, prometheus_listen: "127.0.0.1:9100"}
health: {health_check: {enabled: true, interval_ms: 10000},
  circuit_breaker: {failure_threshold: 5, open_duration_ms: 30000, half_open_probes: 3}}
]=]

describe('the keys of cc-relay', function()
  -- The paths that warnings are about.
  local function warned(env)
    local got, warnings = helper.good(cc_relay, 'yaml', env)
    local paths = {}
    for i, warning in ipairs(warnings) do paths[i] = warning.path end
    table.sort(paths)
    return paths, got, warnings
  end

  it('load with a warning for each key that has no meaning here', function()
    local paths, got, warnings = warned(variables)
    assert.same({ 'cache.ristretto', 'grpc', 'metrics.prometheus_endpoint', 'metrics.prometheus_listen',
      'server.enable_http2' }, paths)
    assert.is_true(got.metrics.enabled)
    for _, warning in ipairs(warnings) do
      local text = require('ccrelay.config').text(warning)
      if warning.path:find '^metrics' then
        assert.is_truthy(text:find('metrics are served at /metrics of admin.listen', 1, true), text)
      end
    end
  end)

  it('load without any of their variables too', function()
    local paths, got = warned {}
    assert.equal(6, #got.providers)
    local seen = table.concat(paths, ' ')
    assert.is_truthy(seen:find('providers[5].gcp_project_id', 1, true), seen)
  end)
end)

describe('blocks in YAML and TOML', function()
  it('mean the same: those of this spec', function()
    local yaml, toml = blocks(own, 'yaml'), blocks(own, 'toml')
    assert.equal(3, #yaml)
    for i, block in ipairs(yaml) do compare(block, toml[i]) end
    local got = compare(yaml[1], toml[1])
    assert.same({ 'GLM-4.7' }, got.providers[1].models)
    assert.same({ ['claude-sonnet-4-5'] = 'GLM-4.7' }, got.providers[1].model_mapping)
    assert.same({ 'z', 60, 2 }, { got.providers[1].keys[1].key, got.providers[1].keys[1].rpm_limit,
      got.providers[1].keys[1].priority })
  end)

  it('load unchanged and mean the same: those of the document', function()
    local text = helper.read(DOCUMENT)
    if not text then pending('the document is not there') return end
    local yaml, toml = blocks(text, 'yaml'), blocks(text, 'toml')
    assert.equal(#yaml, #toml)
    assert.is_true(#yaml >= 10)
    for i, block in ipairs(yaml) do compare(block, toml[i]) end
    print(('%d pairs of blocks load and mean the same'):format(#yaml))
  end)
end)
