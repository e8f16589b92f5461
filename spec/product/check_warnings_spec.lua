-- SPDX-License-Identifier: Apache-2.0
-- The warnings of ccrelay check about a configuration, as the program prints them.
local check_program = require 'support.check_program'

local has, run = check_program.has, check_program.run

describe('ccrelay check', function()
  setup(check_program.start)
  teardown(check_program.stop)

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
end)
