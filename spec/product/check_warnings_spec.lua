-- SPDX-License-Identifier: Apache-2.0
-- The warnings of ccrelay check, as the program prints them. Each test runs the binary, so they take seconds.
local helper = require 'support.config_helper'
local check_program = require 'support.check_program'

local has, run, PAGE = check_program.has, check_program.run, check_program.PAGE

local HEAD = "local relay = require 'ccrelay'\nreturn function(exchange)\n"

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
end)
