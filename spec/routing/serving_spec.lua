-- SPDX-License-Identifier: Apache-2.0
-- Who is asked for a model, in order, with the providers of a page about providers joined to one configuration, as
-- people join them. What ccrelay check says of it is the same.
local stage = require 'support.stage'
local helper = require 'support.config_helper'
local candidates = require 'ccrelay.routing.candidates'

local TELL = [[
local relay = require 'ccrelay'
return function(exchange)
  local list = {}
  for index, one in ipairs(relay.upstreams(exchange)) do list[index] = one.provider .. '=' .. one.model end
  return exchange:respond { body = table.concat(list, ' ') }
end]]

local function key(text, priority) return { { key = text, priority = priority } } end

local anthropic = { name = 'anthropic', type = 'anthropic', keys = key('sk-a', 2),
  models = { 'claude-sonnet-4-5-20250514', 'claude-opus-4-5-20250514', 'claude-haiku-3-5-20241022' } }
local zai = { name = 'zai', type = 'zai', keys = key('sk-z', 1), models = { 'GLM-4.7', 'GLM-4.5-Air', 'GLM-4-Plus' },
  model_mapping = { ['claude-sonnet-4-5-20250514'] = 'GLM-4.7', ['claude-sonnet-4-5'] = 'GLM-4.7',
    ['claude-haiku-3-5-20241022'] = 'GLM-4.5-Air', ['claude-haiku-3-5'] = 'GLM-4.5-Air' } }
local ollama = { name = 'ollama', type = 'ollama', keys = key('ollama', 0),
  models = { 'qwen3:32b', 'qwen3:8b', 'codestral:latest' },
  model_mapping = { ['claude-sonnet-4-5-20250514'] = 'qwen3:32b', ['claude-sonnet-4-5'] = 'qwen3:32b',
    ['claude-haiku-3-5-20241022'] = 'qwen3:8b', ['claude-haiku-3-5'] = 'qwen3:8b' } }
local bedrock = { name = 'bedrock', type = 'bedrock', aws_region = 'us-east-1', keys = key 'bedrock-internal',
  model_mapping = {
    ['claude-sonnet-4-5-20250514'] = 'anthropic.claude-sonnet-4-5-20250514-v1:0',
    ['claude-sonnet-4-5'] = 'anthropic.claude-sonnet-4-5-20250514-v1:0',
    ['claude-haiku-3-5-20241022'] = 'anthropic.claude-haiku-3-5-20241022-v1:0' } }
local azure = { name = 'azure', type = 'azure', azure_resource_name = 'my-azure-resource', keys = key 'sk-az',
  model_mapping = { ['claude-sonnet-4-5-20250514'] = 'claude-sonnet-4-5', ['claude-sonnet-4-5'] = 'claude-sonnet-4-5',
    ['claude-haiku-3-5'] = 'claude-haiku-3-5' } }
local vertex = { name = 'vertex', type = 'vertex', gcp_project_id = 'p', gcp_region = 'us-east5',
  keys = key 'vertex-internal', model_mapping = {
    ['claude-sonnet-4-5-20250514'] = 'claude-sonnet-4-5@20250514', ['claude-sonnet-4-5'] = 'claude-sonnet-4-5@20250514',
    ['claude-haiku-3-5-20241022'] = 'claude-haiku-3-5@20241022' } }

local function planned(self, model)
  local list = {}
  for index, one in ipairs(candidates.plan(self.current, model)) do
    list[index] = one.key.provider.name .. '=' .. one.model
  end
  return table.concat(list, ' ')
end

local function copy(value)
  if type(value) ~= 'table' then return value end
  local result = {}
  for name, member in pairs(value) do result[name] = copy(member) end
  return result
end

local function table_of(what, providers, rows)
  describe(what, function()
    for _, row in ipairs(rows) do
      local model, expected = row[1], row[2]
      it('serve ' .. model .. ' by ' .. expected, function()
        local self = stage.new { providers = copy(providers), policy = TELL }
        assert.equal(expected, self:request({ body = { model = model } }).body)
        assert.equal(expected, planned(self, model))
      end)
    end
  end)
end

table_of('the page\'s Anthropic, Z.AI and Ollama', { ollama, zai, anthropic }, {
  { 'claude-sonnet-4-5', 'anthropic=claude-sonnet-4-5 zai=GLM-4.7 ollama=qwen3:32b' },
  { 'claude-sonnet-4-5-20250514', 'anthropic=claude-sonnet-4-5-20250514 zai=GLM-4.7 ollama=qwen3:32b' },
  { 'claude-haiku-3-5', 'anthropic=claude-haiku-3-5 zai=GLM-4.5-Air ollama=qwen3:8b' },
  { 'claude-haiku-3-5-20241022', 'anthropic=claude-haiku-3-5-20241022 zai=GLM-4.5-Air ollama=qwen3:8b' },
  { 'claude-opus-4-5-20250514', 'anthropic=claude-opus-4-5-20250514' },
  { 'claude-opus-5-5', 'anthropic=claude-opus-5-5' },
  { 'GLM-4.7', 'zai=GLM-4.7' },
  { 'qwen3:8b', 'ollama=qwen3:8b' },
  { 'unheard-of', 'anthropic=unheard-of zai=unheard-of ollama=unheard-of' },
})

table_of('all of the page\'s providers', { anthropic, zai, ollama, bedrock, azure, vertex }, {
  { 'claude-sonnet-4-5', 'anthropic=claude-sonnet-4-5 zai=GLM-4.7 bedrock=anthropic.claude-sonnet-4-5-20250514-v1:0 '
    .. 'azure=claude-sonnet-4-5 vertex=claude-sonnet-4-5@20250514 ollama=qwen3:32b' },
  { 'claude-haiku-3-5', 'anthropic=claude-haiku-3-5 zai=GLM-4.5-Air azure=claude-haiku-3-5 ollama=qwen3:8b' },
  { 'claude-opus-5-5', 'anthropic=claude-opus-5-5' },
  { 'us.anthropic.claude-opus-4-5-20251101-v1:0', 'bedrock=us.anthropic.claude-opus-4-5-20251101-v1:0' },
  { 'anthropic.claude-opus-4-5-20251101-v1:0', 'bedrock=anthropic.claude-opus-4-5-20251101-v1:0' },
  { 'arn:aws:bedrock:us-east-1:1:inference-profile/us.anthropic.claude-x',
    'bedrock=arn:aws:bedrock:us-east-1:1:inference-profile/us.anthropic.claude-x' },
  { 'claude-opus-4-5@20251101', 'anthropic=claude-opus-4-5@20251101 vertex=claude-opus-4-5@20251101' },
  { 'GLM-4-Plus', 'zai=GLM-4-Plus' },
})

local function without_names(provider)
  local bare = copy(provider)
  bare.models, bare.model_mapping = nil, nil
  return bare
end

table_of('providers that name nothing', { without_names(anthropic), without_names(zai), without_names(ollama) }, {
  { 'claude-sonnet-4-5', 'anthropic=claude-sonnet-4-5 zai=claude-sonnet-4-5' },
  { 'GLM-4.7', 'anthropic=GLM-4.7 zai=GLM-4.7' },
})

local aws = { name = 'aws', type = 'claude_aws', aws_region = 'us-east-1', workspace_id = 'w',
  models = { 'claude-opus-5-5' } }
table_of('a Claude platform and a cloud without names', { aws, without_names(bedrock), zai }, {
  { 'claude-haiku-5-5', 'aws=claude-haiku-5-5 bedrock=claude-haiku-5-5' },
  { 'us.anthropic.claude-x', 'bedrock=us.anthropic.claude-x' },
})

local PAGE = '../shared/seeds/providers.ja.md'
local VARIABLES = { ANTHROPIC_API_KEY = 'sk-a', ZAI_API_KEY = 'sk-z', AZURE_API_KEY = 'sk-az',
  GOOGLE_CLOUD_PROJECT = 'p', AWS_ACCESS_KEY_ID = 'i', AWS_SECRET_ACCESS_KEY = 's' }

-- The page's providers by name: of several blocks with one, the first.
local function of_page(text)
  local found = {}
  for block in text:gmatch '\n```yaml\n(providers:\n.-)\n```' do
    for _, provider in ipairs(helper.good(block, 'yaml', VARIABLES).providers) do
      found[provider.name] = found[provider.name] or provider
    end
  end
  return found
end

describe('the providers above', function()
  local text = helper.read(PAGE)
  for _, ours in ipairs { anthropic, zai, ollama, bedrock, azure, vertex } do
    it('are those of the documentation: ' .. ours.name, function()
      if not text then pending('the page is not there') return end
      local theirs = of_page(text)[ours.name]
      for name, value in pairs(ours) do
        if name ~= 'keys' then assert.same(value, theirs[name], name) end
      end
      assert.same(ours.models or {}, theirs.models or {})
      assert.equal(ours.keys[1].key, theirs.keys[1].key)
      assert.equal(ours.keys[1].priority or 1, theirs.keys[1].priority)
    end)
  end
end)
