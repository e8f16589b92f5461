-- SPDX-License-Identifier: Apache-2.0
-- The database of usage and spending, in a real file.
local fake = require 'support.fake_c'
local accounts = require 'ccrelay.limits.accounts'
local cell = require 'ccrelay.shared.cell'
local database = require 'ccrelay.usage.database'
local periods = require 'ccrelay.limits.periods'
local records = require 'ccrelay.log.records'
local stage = require 'support.stage'
local store = require 'ccrelay.usage.store'

local C = fake.C
local DAY = 86400000
local folder, said

local read = records.read

before_each(function()
  fake.reset()
  said = {}
  records.read = function(from) return {}, from, 0 end -- other specs have written some
  folder = os.tmpname()
  os.remove(folder)
end)

after_each(function()
  records.read = read
  os.execute("rm -rf '" .. folder .. "'")
end)

local function path() return folder .. '/usage.db' end

local function new(settings)
  return store.new(settings or { path = path(), days = 400 },
    function(level, text) said[#said + 1] = level .. ' ' .. text end)
end

-- A store of a relay that has just started.
local function started()
  C.cc_cell_set(cell.number 'usage:restored', 0)
  local one = new()
  one:open()
  return one
end

local function rows(sql, kinds)
  local opened = assert(database.open(path()))
  local list = opened:rows(kinds, sql)
  opened:close()
  return list
end

-- As if a new relay had started: cells are empty.
local function forget(account) C.cc_cell_set(cell.number(account.cell), 0) end

local function account_of(period) return accounts.of('client', stage.fresh 'c', period or 'day') end

it('keeps what was spent, and a relay that starts goes on from there', function()
  local one, day, month = started(), account_of 'day', account_of 'month'
  accounts.add(day, 1.25)
  accounts.add(month, 2)
  one:tick()
  accounts.add(day, 0.5)
  one:tick()
  one:close()
  forget(day)
  forget(month)
  accounts.add(day, 0.25) -- spent before the database was read
  started():close()
  assert.same({ 2, 2 }, { accounts.spent(day), accounts.spent(month) })
end)

it('brings back nothing of a period that is over', function()
  local one, day, month = started(), account_of 'day', account_of 'month'
  accounts.add(day, 1)
  accounts.add(month, 1)
  one:tick()
  one:close()
  stage.advance(periods.current('month').ends - C.cc_time())
  forget(day)
  forget(month)
  started():close()
  assert.same({ 0, 0 }, { accounts.spent(day), accounts.spent(month) })
end)

it('brings back amounts once in the life of a relay', function()
  local one, account = started(), account_of()
  accounts.add(account, 1)
  one:tick()
  one:close()
  new():open() -- the helper was replaced
  assert.equal(1, accounts.spent(account))
end)

it('brings back amounts once, wherever a helper is killed while it does so', function()
  local one, list = started(), {}
  for index = 1, 4 do
    list[index] = account_of(periods.names[index % 3 + 1])
    accounts.add(list[index], index)
  end
  one:tick()
  one:close()
  local restore = accounts.restore
  finally(function() accounts.restore = restore end)
  for killed_after = 0, #list do
    for _, account in ipairs(list) do forget(account) end
    C.cc_cell_set(cell.number 'usage:restored', 0)
    local calls = 0
    accounts.restore = function(...) -- luacheck: ignore
      if calls == killed_after then error 'killed' end
      calls = calls + 1
      restore(...)
    end
    local victim = new()
    pcall(victim.open, victim)
    victim:close() -- as the end of its process does
    accounts.restore = restore
    accounts.add(list[1], 0.5)
    one = new()
    one:open()
    one:close()
    for index, account in ipairs(list) do
      assert.equal(index + (index == 1 and 0.5 or 0), accounts.spent(account), killed_after)
    end
  end
end)

it('writes only what has changed', function()
  local one, account = started(), account_of()
  accounts.add(account, 1)
  one:tick()
  assert.equal(0, #one.spending:changes())
  accounts.add(account, 1)
  assert.equal(1, #one.spending:changes())
end)

it('deletes what is older than the days it keeps, when it opens and each day', function()
  local one, account = started(), account_of()
  local first = periods.current('day').begins
  accounts.add(account, 1)
  one:tick()
  one:configure { path = path(), days = 31 }
  for _ = 1, 31 do
    stage.advance(DAY)
    one:tick()
  end
  accounts.add(account, 1)
  one:tick()
  one:close()
  local kept = rows('SELECT begins FROM spent', 'n')
  assert.is_true(#kept == 1 and kept[1][1] > first)
end)

it('moves a damaged file away and begins a new one', function()
  local one, account = started(), account_of()
  one:close()
  local file = assert(io.open(path(), 'wb'))
  file:write(('no database '):rep(1000))
  file:close()
  one = started()
  accounts.add(account, 1)
  one:tick()
  one:close()
  assert.matches('^error usage: .*usage%.db is damaged .*: it is now .*usage%.db%.damaged%-%d+T', said[1])
  assert.equal(1, #said)
  assert.same({ { 1000000 } }, rows('SELECT amount FROM spent WHERE amount > 0', 'n'))
end)

it('does not use a database of a newer version, and leaves it as it is', function()
  started():close()
  local opened = assert(database.open(path()))
  opened:run 'PRAGMA user_version = 99'
  opened:close()
  local one = started()
  one:tick()
  stage.advance(5000)
  one:tick()
  assert.matches('newer ccrelay', one.fault)
  assert.equal(1, #said)
  one:close()
  assert.equal(99, rows('PRAGMA user_version', 'n')[1][1])
end)

it('tells a fault once, tries again each second, and tells when it works', function()
  local blocked = new { path = folder .. '/file/usage.db', days = 400 }
  os.execute("mkdir '" .. folder .. "' && touch '" .. folder .. "/file'")
  for _ = 1, 5 do
    blocked:tick()
    stage.advance(1000)
  end
  assert.equal(1, #said)
  assert.matches('^error usage: .* cannot be used, requests go on without it: ', said[1])
  os.remove(folder .. '/file')
  blocked:tick()
  assert.is_nil(blocked.fault)
  assert.matches('^info usage: .* is in use again', said[2])
  blocked:close()
end)

it('undoes a batch that fails, and writes it when that is possible', function()
  local one, account = started(), account_of()
  one.database:run 'CREATE TRIGGER refuse BEFORE INSERT ON spent BEGIN SELECT raise(ABORT, \'disk is full\'); END'
  accounts.add(account, 1)
  one:tick()
  assert.matches('disk is full', one.fault)
  local opened = assert(database.open(path()))
  opened:run 'DROP TRIGGER refuse'
  opened:close()
  stage.advance(1000)
  one:tick()
  one:tick()
  assert.is_nil(one.fault)
  one:close()
  assert.same({ { 1000000 } }, rows('SELECT amount FROM spent WHERE amount > 0', 'n'))
end)

describe('usage', function()
  local function served(client, more)
    local record = { at = C.cc_time(), endpoint = 'messages', client = client, provider = 'p', key = 'p/1',
      status = 200, model = 'opus', sent_model = 'opus-5', cost = 0.5, fast = false,
      tokens = { input = 1, output = 2, cache_read = 3, cache_write_5m = 4, cache_write_1h = 5 } }
    for name, value in pairs(more or {}) do record[name] = value or nil end
    return record
  end

  local list, lost

  before_each(function()
    list, lost = {}, 0
    C.cc_cell_set(cell.number 'usage:relay', 0)
    records.read = function(from)
      local after = {}
      for index = from + 1, #list do after[#after + 1] = list[index] end
      return after, #list, lost
    end
  end)

  local function kept(columns, kinds)
    return rows('SELECT ' .. columns .. ' FROM usage ORDER BY client, requests DESC', kinds)
  end

  it('is summed up by client and day', function()
    local one = started()
    list = { served 'a', served 'a', served('b', { tier = 'batch', fast = true, group = 'team' }) }
    one:tick()
    list[#list + 1] = served 'a'
    one:tick()
    one:close()
    local today = os.date('!%Y-%m-%d', C.cc_time() / 1000)
    assert.same({ { today, 'a', '', 'p', 'p/1', 'opus', 'opus-5', '', '' },
      { today, 'b', 'team', 'p', 'p/1', 'opus', 'opus-5', 'batch', 'fast' } },
      kept('day, client, client_group, provider, key, model, sent_model, tier, speed', 'ttttttttt'))
    assert.same({ { 3, 0, 3, 6, 9, 12, 15, 1.5, 0 }, { 1, 0, 1, 2, 3, 4, 5, 0.5, 0 } }, kept('requests, errors, '
      .. 'input, output, cache_read, cache_write_5m, cache_write_1h, cost, cost_unknown', 'nnnnnnnnn'))
  end)

  it('tells an unknown cost from a cost of 0, and counts errors', function()
    local one = started()
    list = { served('a', { cost = false }), served('b', { cost = 0 }), served('c', { status = 529, cost = false }),
      served('d', { error = 'CC_ERESET' }), served('e', { endpoint = 'count_tokens' }) }
    one:tick()
    one:close()
    assert.same({ { 'a', 0, 1, 0 }, { 'b', 0, 0, 0 }, { 'c', 0, 0, 1 }, { 'd', 0.5, 0, 1 } },
      kept('client, cost, cost_unknown, errors', 'tnnn'))
  end)

  it('is counted once, though the helper is replaced', function()
    local one = started()
    list = { served 'a' }
    one:tick()
    one:close()
    list[2] = served 'a'
    local two = new()
    two:open()
    two:tick()
    two:close()
    assert.same({ { 2 } }, kept('requests', 'n'))
  end)

  it('of the next relay is counted from its first record on', function()
    local one = started()
    list = { served 'a', served 'a' }
    one:tick()
    one:close()
    C.cc_cell_set(cell.number 'usage:relay', 0)
    list = { served 'a' }
    one = started()
    one:tick()
    one:close()
    assert.same({ { 3 } }, kept('requests', 'n'))
  end)

  it('that could not be written is written later', function()
    local one = started()
    one.database:run 'CREATE TRIGGER refuse BEFORE INSERT ON usage BEGIN SELECT raise(ABORT, \'disk is full\'); END'
    list = { served 'a' }
    one:tick()
    assert.matches('disk is full', one.fault)
    local opened = assert(database.open(path()))
    opened:run 'DROP TRIGGER refuse'
    opened:close()
    stage.advance(1000)
    one:tick()
    one:tick()
    one:close()
    assert.same({ { 1 } }, kept('requests', 'n'))
  end)

  it('that was overwritten before it was read is reported', function()
    local one = started()
    list, lost = { served 'a' }, 7
    one:tick()
    one:close()
    assert.matches('^warn usage: 7 exchanges are not counted', said[1])
  end)

  it('has a bounded number of rows a day, whatever models clients name', function()
    local one = started()
    for index = 1, 20010 do list[index] = served('a', { model = 'm' .. index, sent_model = 'm' .. index }) end
    one:tick()
    one:close()
    assert.same({ { 20001, 20010 } }, rows('SELECT count(*), sum(requests) FROM usage', 'nn'))
    assert.same({ { 10 } }, rows("SELECT requests FROM usage WHERE model = 'other'", 'n'))
  end)

  it('keeps that bound for exchanges that began the day before, and when the helper is replaced', function()
    local one, today = started(), C.cc_time()
    for index = 1, 20000 do list[index] = served('a', { model = 'm' .. index, sent_model = 'm' .. index }) end
    one:tick()
    list[#list + 1] = served('a', { at = today - DAY })
    list[#list + 1] = served('a', { model = 'one more' })
    one:tick()
    one:close()
    list[#list + 1] = served('a', { model = 'another' })
    local two = new()
    two:open()
    two:tick()
    two:close()
    assert.same({ { 2 } }, rows("SELECT requests FROM usage WHERE model = 'other'", 'n'))
    assert.same({ { 20002 } }, rows('SELECT count(*) FROM usage', 'n'))
  end)
end)
