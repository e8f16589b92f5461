-- SPDX-License-Identifier: Apache-2.0
local fake = require 'support.fake_c'
local stage = require 'support.stage'
local budget = require 'ccrelay.limits.budget'
local config = require 'ccrelay.config'
local helper = require 'support.config_helper'

local DAY = 86400000

local function of(client, configuration)
  return { client = { name = client }, generation = { configuration = configuration or { server = {}, routing = {} } } }
end

before_each(function() fake.reset() end)

-- Goes to the beginning of a day.
local function midnight()
  stage.advance(budget.remains())
end

describe('the amount a client has spent', function()
  it('adds up for each client separately', function()
    local one, other = of(stage.fresh 'x'), of(stage.fresh 'x')
    assert.equal(0, budget.spent(one))
    budget.spend(one, 0.25)
    budget.spend(one, 1.000001)
    assert.equal(1.250001, budget.spent(one))
    assert.equal(0, budget.spent(other))
  end)

  it('is that of the day, and 0 on the next', function()
    local one = of(stage.fresh 'x')
    midnight()
    budget.spend(one, 3)
    stage.advance(DAY - 1)
    assert.equal(1, budget.remains())
    assert.equal(3, budget.spent(one))
    stage.advance(1)
    assert.equal(0, budget.spent(one))
    budget.spend(one, 2)
    assert.equal(2, budget.spent(one))
  end)

  it('is 0 after any number of days without a request', function()
    local one = of(stage.fresh 'x')
    for days = 1, 1023 do
      budget.spend(one, 3)
      stage.advance(days * DAY)
      assert.equal(0, budget.spent(one), days)
    end
  end)

  it('is bounded at a large amount', function()
    local one = of(stage.fresh 'x')
    budget.spend(one, 4000000.5)
    assert.equal(4000000.5, budget.spent(one))
    budget.spend(one, 1e15)
    budget.spend(one, 1e15)
    assert.is_true(budget.spent(one) > 4000000)
  end)

  it('makes no more cells than there are clients', function()
    local one = of(stage.fresh 'x')
    budget.spend(one, 1)
    local count = stage.C.cc_cells()
    for _ = 1, 10 do
      midnight()
      budget.spend(one, 1)
    end
    assert.equal(count, stage.C.cc_cells())
  end)
end)

describe('the budget', function()
  local configuration = { routing = { budget_per_day = 5 }, server = { auth = { clients = {
    { name = 'own', budget_per_day = 20.5 }, { name = 'free', budget_per_day = 0 }, { name = 'usual' } } } } }

  it('is the client\'s own, else that of all clients; 0 means unlimited', function()
    local function bound(client) return budget.of(of(client, configuration)) end
    assert.same({ 20.5, 5, 5 }, { bound 'own', bound 'usual', bound(nil) })
    assert.is_nil(bound 'free')
    assert.is_nil(budget.of(of 'usual'))
  end)
end)

describe('budget_per_day', function()
  local PRICES = 'prices: {"*": {input: 1, output: 1}}'
  local CLIENTS = 'server: {auth: {clients: [{name: a, key: k}, {name: b, key: l, budget_per_day: 2}]}}\n'

  local function load(text)
    local configuration, notes = helper.load(text, 'yaml', {}, { dir = '.' })
    return configuration, notes[1] and config.text(notes[1]) or ''
  end

  it('needs prices', function()
    local function words_of(text) return (select(2, load(text))) end
    assert.is_nil((load 'routing: {strategy: budget, budget_per_day: 5}'))
    local words = words_of 'routing: {strategy: budget, budget_per_day: 5}'
    assert.is_truthy(words:find('routing.budget_per_day: a budget needs routing.prices', 1, true))
    words = words_of(CLIENTS .. 'routing: {strategy: budget}')
    assert.is_truthy(words:find('server.auth.clients[1].budget_per_day: a budget needs', 1, true), words)
    assert.equal('', words_of(CLIENTS .. 'routing: {strategy: budget, ' .. PRICES .. '}'))
  end)

  it('gives a warning if the policy does not use it', function()
    local configuration, words = load(CLIENTS .. 'routing: {' .. PRICES .. '}')
    assert.equal(2, configuration.server.auth.clients[2].budget_per_day)
    assert.is_truthy(words:find('clients[1].budget_per_day: has no effect without routing.strategy: budget', 1, true),
      words)
  end)

  it('must be a number that can be counted to', function()
    for _, value in ipairs { '-1', 'much', '4000001' } do
      local _, words = load('routing: {strategy: budget, budget_per_day: ' .. value .. ', ' .. PRICES .. '}')
      assert.is_truthy(words:find('expected a number from 0 to 4000000', 1, true), words)
    end
  end)
end)

it('a policy can spend numbers only', function()
  for _, cost in ipairs { '-1', '0/0', '1/0', '"1"', 'nil' } do
    local self = stage.new { policy = "local relay = require 'ccrelay' return function(exchange) relay.spend(exchange, "
      .. cost .. ') end' }
    assert.equal(500, self:request().status)
    assert.equal(1, self:count 'relay.spend takes an amount')
  end
end)
