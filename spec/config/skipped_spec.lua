-- SPDX-License-Identifier: Apache-2.0
-- Keys whose variables are not set: who still has a use for the provider, and the way of a subscription's user
-- through config init.
local stage = require 'support.stage'
local Generation = require 'ccrelay.generation'
local config = require 'ccrelay.config'

local TOKEN = 'sk-ant-oat01-canary-of-a-subscription'

-- A stage with a configuration of this text, in an environment of these variables.
local function set(text, format, variables)
  local self, scripts = stage.new(), {}
  local pipe = assert(io.popen 'ls providers/*.lua policies/failover.lua')
  for path in pipe:lines() do scripts[path] = stage.read(path) end
  pipe:close()
  local function env(name) return (variables or {})[name] end
  local adapters = assert(Generation.adapters(scripts))
  local configuration, notes = config.load { text = text, format = format, env = env, adapters = adapters }
  assert(configuration, not configuration and config.text(notes[1]))
  local built = assert(Generation.build { configuration = configuration, adapters = adapters, scripts = scripts,
    env = env })
  self:put_in_force(built)
  for index, note in ipairs(notes) do notes[index] = config.text(note) end
  return self, table.concat(notes, '\n')
end

local function ask(self, headers)
  local answer, exchange = self:request { headers = headers }
  local hosts = {}
  for index, try in ipairs(exchange.tries) do hosts[index] = try.origin.host end
  return table.concat(hosts, ' '), exchange, answer
end

local SUBSCRIBER = { authorization = 'Bearer ' .. TOKEN }

describe('config init without any variable', function()
  for _, format in ipairs { 'yaml', 'toml' } do
    it('offers Anthropic to clients with their own credential: ' .. format, function()
      local self, notes = set(config.init_text(format), format)
      assert.is_truthy(notes:find('serves only clients with their own credential', 1, true), notes)
      local hosts, exchange = ask(self, SUBSCRIBER)
      assert.equal('api.anthropic.com', hosts)
      assert.equal('Bearer ' .. TOKEN, exchange.tries[1].headers.authorization)
      assert.is_nil(exchange.tries[1].headers['x-api-key'])
    end)
  end

  it('uses the key if its variable is set', function()
    local self = set(config.init_text 'yaml', 'yaml', { ANTHROPIC_API_KEY = 'sk-of-the-relay' })
    local hosts, exchange = ask(self)
    assert.equal('api.anthropic.com', hosts)
    assert.equal('sk-of-the-relay', exchange.tries[1].headers['x-api-key'])
  end)
end)

describe('a provider whose keys were all skipped', function()
  local TWO = [[
providers:
  - {name: z, type: zai, keys: [{key: "${Z}", priority: 2}], model_mapping: {"claude-*": GLM-4.7}}
  - {name: a, type: anthropic, %s keys: [{key: "${A}", priority: 1}, {key: "${B}", priority: 3}]}
]]

  it('has their highest priority for clients\' credentials', function()
    local self = set(TWO:format '', 'yaml', { Z = 'sk-z' })
    local stages = self.replies
    stages['api.anthropic.com'] = { { status = 529, body = '{}' } }
    assert.equal('api.anthropic.com api.z.ai', (ask(self, SUBSCRIBER)))
  end)

  it('is no candidate for clients without a credential of their own', function()
    local self = set(TWO:format '', 'yaml', { Z = 'sk-z' })
    assert.equal('api.z.ai', (ask(self)))
  end)

  it('is switched off when it is not transparent', function()
    for _, more in ipairs { 'transparent: false,', 'base_url: "https://gateway.example",' } do
      local self, notes = set(TWO:format(more), 'yaml', { Z = 'sk-z' })
      assert.equal('api.z.ai', (ask(self, SUBSCRIBER)))
      assert.is_truthy(notes:find('providers[1]: disabled because all of its keys were skipped', 1, true), notes)
    end
  end)

  it('stays switched off if it was', function()
    local self, notes = set(TWO:format 'enabled: false,', 'yaml', { Z = 'sk-z' })
    assert.equal('api.z.ai', (ask(self, SUBSCRIBER)))
    assert.is_nil(notes:find('of their own only', 1, true))
  end)
end)
