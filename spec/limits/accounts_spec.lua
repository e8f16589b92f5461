-- SPDX-License-Identifier: Apache-2.0
local fake = require 'support.fake_c'
local accounts = require 'ccrelay.limits.accounts'
local periods = require 'ccrelay.limits.periods'
local stage = require 'support.stage'

before_each(function() fake.reset() end)

local function pass(period) stage.advance(periods.current(period).ends - stage.C.cc_time()) end

for _, period in ipairs(periods.names) do
  it('an account of a ' .. period .. ' begins anew with the next one', function()
    local account = accounts.of('group', stage.fresh 'g', period)
    pass(period)
    accounts.add(account, 1.5)
    accounts.add(account, 0.25)
    assert.equal(1.75, accounts.spent(account))
    assert.equal(1750000, accounts.millionths(account))
    pass(period)
    assert.equal(0, accounts.spent(account))
  end)
end

it('accounts of a client, group and model of one name differ, and so do those of its periods', function()
  local name, seen = stage.fresh 'x', {}
  for _, kind in ipairs { 'client', 'group', 'model' } do
    for _, period in ipairs(periods.names) do
      local account = accounts.of(kind, name, period)
      assert.is_nil(seen[account.cell])
      seen[account.cell] = true
      assert.same(account, accounts.of_cell(account.cell))
    end
  end
end)

it('a long name is found by its cell, too', function()
  local account = accounts.of('model', ('m'):rep(200), 'month')
  assert.same(account, accounts.of_cell(account.cell))
end)

it('other cells hold no account', function()
  for _, name in ipairs { 'policy:spent:x', 'spend', 'count', 'spent.client:x' } do
    assert.is_nil(accounts.of_cell(name), name)
  end
end)

it('what an earlier run has kept is added to what this one has counted', function()
  local account = accounts.of('client', stage.fresh 'c', 'day')
  accounts.add(account, 1)
  accounts.restore(account, 2500000)
  assert.equal(3.5, accounts.spent(account))
end)

it('what an earlier run has kept is added once', function()
  for _, first in ipairs { 0, 1 } do
    local account = accounts.of('client', stage.fresh 'c', 'day')
    accounts.add(account, first)
    accounts.restore(account, 2500000)
    accounts.add(account, 0.25)
    accounts.restore(account, 2500000)
    assert.equal(first + 2.75, accounts.spent(account))
  end
end)

it('an account that holds what an earlier run has kept begins anew with the next period', function()
  local account = accounts.of('client', stage.fresh 'c', 'day')
  accounts.restore(account, 2500000)
  pass 'day'
  assert.equal(0, accounts.spent(account))
  accounts.add(account, 0.5)
  assert.equal(0.5, accounts.spent(account))
end)

it('an account holds large amounts to the last millionth, and no more than its bound', function()
  local account = accounts.of('client', stage.fresh 'c', 'month')
  accounts.restore(account, 2 ^ 42 - 3)
  accounts.add(account, 0.000001)
  assert.equal(2 ^ 42 - 2, accounts.millionths(account))
  accounts.add(account, 5)
  assert.equal(2 ^ 42 - 1, accounts.millionths(account))
end)
