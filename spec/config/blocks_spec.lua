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

describe('blocks in both forms', function()
  it('of our own mean the same', function()
    local yaml, toml = blocks(own, 'yaml'), blocks(own, 'toml')
    assert.equal(3, #yaml)
    for i, block in ipairs(yaml) do compare(block, toml[i]) end
    local got = compare(yaml[1], toml[1])
    assert.same({ 'GLM-4.7' }, got.providers[1].models)
    assert.same({ ['claude-sonnet-4-5'] = 'GLM-4.7' }, got.providers[1].model_mapping)
    assert.same({ 'z', 60, 2 }, { got.providers[1].keys[1].key, got.providers[1].keys[1].rpm_limit,
      got.providers[1].keys[1].priority })
  end)

  it('of the document load unchanged and mean the same', function()
    local text = helper.read(DOCUMENT)
    if not text then pending('the document is not there') return end
    local yaml, toml = blocks(text, 'yaml'), blocks(text, 'toml')
    assert.equal(#yaml, #toml)
    assert.is_true(#yaml >= 10)
    for i, block in ipairs(yaml) do compare(block, toml[i]) end
    print(('%d pairs of blocks load and mean the same'):format(#yaml))
  end)
end)
