-- SPDX-License-Identifier: Apache-2.0
local config = require 'ccrelay.config'
local discover = require 'ccrelay.config.discover'
local helper = require 'support.config_helper'

local SECRET = 'canary-of-a-secret'

local function env(variables)
  return function(name) return variables[name] end
end

local function names(variables)
  local list, notes = discover.providers(env(variables))
  for index, provider in ipairs(list) do list[index] = provider.name end
  return table.concat(list, ' '), table.concat(notes, '\n')
end

describe('the starter file', function()
  it('has the built-in providers when no variable is set', function()
    assert.equal('anthropic zai ollama', (names {}))
    assert.equal('anthropic zai ollama', (names { ZAI_API_KEY = '', AWS_REGION = 'us-east-1' }))
  end)

  it('has the providers whose variables are set', function()
    assert.equal('anthropic ollama', (names { ANTHROPIC_API_KEY = SECRET }))
    assert.equal('anthropic zai ollama', (names { ZAI_API_KEY = SECRET }))
    assert.equal('anthropic minimax ollama', (names { MINIMAX_API_KEY = SECRET }))
    assert.equal('anthropic bedrock ollama', (names { AWS_PROFILE = 'work', AWS_DEFAULT_REGION = 'eu-central-1' }))
    assert.equal('anthropic vertex ollama', (names { GOOGLE_CLOUD_PROJECT = 'p' }))
    assert.equal('anthropic azure ollama', (names { AZURE_CLIENT_SECRET = SECRET, ANTHROPIC_FOUNDRY_RESOURCE = 'r' }))
  end)

  it('leaves out a cloud that lacks a variable, and names the variable', function()
    local function lacks(variables, expected)
      local list, notes = names(variables)
      assert.equal('anthropic zai ollama', list)
      assert.is_truthy(notes:find(expected, 1, true), notes)
      assert.is_nil(notes:find(SECRET, 1, true))
    end
    lacks({ AWS_ACCESS_KEY_ID = SECRET }, 'bedrock is left out: set AWS_REGION too')
    lacks({ GOOGLE_APPLICATION_CREDENTIALS = SECRET }, 'vertex is left out: set GOOGLE_CLOUD_PROJECT too')
    lacks({ AZURE_API_KEY = SECRET }, 'azure is left out: set ANTHROPIC_FOUNDRY_RESOURCE too')
  end)

  local ALL = {
    ANTHROPIC_API_KEY = SECRET .. 1, ZAI_API_KEY = SECRET .. 2, MINIMAX_API_KEY = SECRET .. 3,
    AWS_ACCESS_KEY_ID = 'AKIA' .. SECRET, AWS_SECRET_ACCESS_KEY = SECRET .. 4, AWS_REGION = 'us-west-2',
    GOOGLE_CLOUD_PROJECT = 'project-5', CLOUD_ML_REGION = 'us-east5',
    ANTHROPIC_FOUNDRY_API_KEY = SECRET .. 6, ANTHROPIC_FOUNDRY_RESOURCE = 'resource-7',
  }
  local FORMATS = { 'yaml', 'toml' }

  for _, format in ipairs(FORMATS) do
    it('names variables, never their values: ' .. format, function()
      local text, notes = config.init_text(format, env(ALL))
      local whole = text .. table.concat(notes, '\n')
      for _, value in ipairs { SECRET, 'us-west-2', 'project-5', 'resource-7' } do
        assert.is_nil(whole:find(value, 1, true), value)
      end
      assert.is_truthy(whole:find('found AWS_ACCESS_KEY_ID: bedrock', 1, true), whole)
    end)

    it('loads, as it is and with every line uncommented: ' .. format, function()
      local text = config.init_text(format, env(ALL))
      for _, variant in ipairs { text, (text:gsub('\n( *)#([^ ])', '\n%1%2')) } do
        local variables = setmetatable({}, { __index = function(_, name) return ALL[name] or 'value-of-' .. name end })
        local providers = helper.good(variant, format, variables).providers
        local list = {}
        for index, provider in ipairs(providers) do list[index] = provider.name end
        assert.equal('anthropic bedrock vertex azure zai minimax ollama', table.concat(list, ' '))
        assert.equal('us-west-2', providers[2].aws_region)
        assert.equal('us-east5', providers[3].gcp_region)
        assert.equal('resource-7', providers[4].azure_resource_name)
        assert.equal(SECRET .. 2, providers[5].keys[1].key)
        for index = 2, #providers do
          assert.is_true(providers[index - 1].keys[1].priority > providers[index].keys[1].priority)
        end
      end
    end)
  end

  it('uses Entra ID for Azure without a key, at the given address', function()
    local base = 'https://f.example'
    local text = config.init_text('yaml', env { AZURE_CLIENT_SECRET = SECRET, ANTHROPIC_FOUNDRY_BASE_URL = base })
    local provider = helper.good(text, 'yaml', { ANTHROPIC_FOUNDRY_BASE_URL = base }).providers[2]
    assert.equal('entra_id', provider.azure_auth)
    assert.equal(base, provider.base_url)
  end)
end)
