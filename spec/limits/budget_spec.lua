-- SPDX-License-Identifier: Apache-2.0
local fake = require 'support.fake_c'
local stage = require 'support.stage'
local budget = require 'ccrelay.limits.budget'
local periods = require 'ccrelay.limits.periods'
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

describe('budgets of groups, models, weeks and months', function()
  local group, client = stage.fresh 'g', stage.fresh 'c'

  local function exchange(name, model, more)
    local configuration = {
      server = { auth = {
        clients = { { name = client, group = group, budget_per_month = 40 }, { name = 'other', group = group } },
        groups = { { name = group, budget_per_week = 25 } },
      } },
      routing = { budget_per_day = 10, model_budgets = { ['opus-*'] = { budget_per_day = 6 },
        ['opus-5'] = { budget_per_day = 8 } } },
    }
    for key, value in pairs(more or {}) do configuration.routing[key] = value end
    return { client = { name = name }, cache = { model = model }, generation = { configuration = configuration } }
  end

  local function words(one)
    return one and ('%s %s %s %g of %g'):format(one.kind, one.name, one.account.period, budget.spent_of(one),
      one.amount)
  end

  before_each(function()
    group, client = stage.fresh 'g', stage.fresh 'c'
    stage.advance(periods.current('month').ends - stage.C.cc_time())
    if periods.current('week').ends > periods.current('month').ends then midnight() end
  end)

  it('count a cost in all that apply', function()
    local one = exchange(client, 'haiku')
    budget.spend(one, 5)
    assert.same({ ('client %s day 5 of 10'):format(client), ('client %s month 5 of 40'):format(client),
      ('group %s week 5 of 25'):format(group) }, { words(budget.of_client(one)[1]), words(budget.of_client(one)[2]),
      words(budget.of_client(one)[3]) })
    budget.spend(exchange('other', 'haiku'), 3)
    assert.equal(('group %s week 8 of 25'):format(group), words(budget.of_client(one)[3]))
    assert.equal(('client %s day 5 of 10'):format(client), words(budget.of_client(one)[1]))
  end)

  it('of a model are those of the longest name, for all clients together', function()
    local pattern = stage.fresh 'm'
    local function one(name, model) return exchange(name, model, { budget_per_day = 0, model_budgets = {
      [pattern .. '*'] = { budget_per_day = 6 }, [pattern .. '-5'] = { budget_per_day = 8 } } }) end
    budget.spend(one('x', pattern .. '-5'), 7)
    budget.spend(one('y', pattern .. '-4'), 2)
    assert.is_nil(budget.used_up(one('z', pattern .. '-5')))
    budget.spend(one('y', pattern .. '-5'), 1)
    assert.equal(('model %s-5 day 8 of 8'):format(pattern), words(budget.used_up(one('z', pattern .. '-5'))))
    assert.is_nil(budget.used_up(one('z', pattern .. '-4')))
    assert.equal(('model %s* day 2 of 6'):format(pattern), words(budget.tightest(one('z', pattern .. '-4'))))
    assert.is_nil(budget.tightest(one('z', 'another')))
  end)

  it('refuse by the one that is reset last, and tell of the one of which most is used', function()
    local one = exchange(client, 'haiku')
    assert.is_nil(budget.used_up(one))
    budget.spend(one, 9)
    assert.equal(('client %s day 9 of 10'):format(client), words(budget.tightest(one)))
    budget.spend(one, 32)
    assert.equal(('client %s month 41 of 40'):format(client), words(budget.used_up(one)))
    midnight()
    assert.equal(('client %s month 41 of 40'):format(client), words(budget.used_up(one)))
    stage.advance(periods.current('month').ends - stage.C.cc_time())
    assert.is_nil(budget.used_up(one))
  end)

  it('are listed, each once', function()
    local one = exchange(client, 'haiku')
    budget.spend(one, 2)
    local shown = {}
    for _, each_one in ipairs(budget.all(one.generation.configuration)) do
      if each_one.name == client or each_one.name == group or each_one.kind == 'model' then
        shown[#shown + 1] = ('%s %s %g'):format(each_one.kind, each_one.account.period, budget.spent_of(each_one))
      end
    end
    table.sort(shown)
    assert.same({ 'client day 2', 'client month 2', 'group week 2', 'model day 0', 'model day 0' }, shown)
  end)

  it('of a client may be without a bound where routing has one', function()
    local one = exchange('other', 'haiku')
    one.generation.configuration.server.auth.clients[2].budget_per_day = 0
    budget.spend(one, 12)
    assert.is_nil(budget.used_up(one))
    assert.equal(12, budget.spent(one))
  end)
end)

describe('the configuration of budgets', function()
  local PRICES = ', prices: {"*": {input: 1, output: 1}}'

  local function words_of(text)
    local _, notes = helper.load(text, 'yaml', {}, { dir = '.' })
    return notes[1] and config.text(notes[1]) or ''
  end

  local function clients(member, groups)
    return ('server: {auth: {clients: [{name: a, key: k, %s}]%s}}\n'):format(member, groups or '')
  end

  it('needs prices for each', function()
    for path, text in pairs {
      ['routing.budget_per_month'] = 'routing: {strategy: budget, budget_per_month: 5}',
      ['routing.model_budgets.x.budget_per_day'] =
        'routing: {strategy: budget, model_budgets: {x: {budget_per_day: 1}}}',
      ['server.auth.clients[0].budget_per_week'] = clients 'budget_per_week: 1' .. 'routing: {strategy: budget}',
      ['server.auth.groups[0].budget_per_day'] = clients('group: g', ', groups: [{name: g, budget_per_day: 1}]')
        .. 'routing: {strategy: budget}',
    } do
      assert.is_truthy(words_of(text):find(path .. ': a budget needs routing.prices', 1, true), words_of(text))
    end
  end)

  it('knows groups by their names', function()
    local strategy = 'routing: {strategy: budget' .. PRICES .. '}'
    assert.equal('', words_of(clients('group: g', ', groups: [{name: g, budget_per_day: 1}]') .. strategy))
    assert.matches('clients%[0%]%.group: .*"h".*server%.auth%.groups',
      words_of(clients('group: h', ', groups: [{name: g}]') .. strategy))
    assert.matches('groups%[1%]%.name: .*"g" again', words_of(clients('group: g',
      ', groups: [{name: g}, {name: g}]') .. strategy))
  end)
end)
