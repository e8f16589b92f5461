-- SPDX-License-Identifier: Apache-2.0
-- The warnings of ccrelay check about a policy, as the program prints them.
local helper = require 'support.config_helper'
local check_program = require 'support.check_program'

local has, run, PAGE = check_program.has, check_program.run, check_program.PAGE

local HEAD = "local relay = require 'ccrelay'\nreturn function(exchange)\n"

describe('ccrelay check', function()
  setup(check_program.start)
  teardown(check_program.stop)

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
