-- SPDX-License-Identifier: Apache-2.0
-- Sums over time, from the records of exchanges.
require 'support.fake_c'
local history = require 'ccrelay.server.feed.history'
local records = require 'ccrelay.log.records'

local NOW = 1764556800000
local real_read = records.read

-- A history of these records.
local function of(list, now)
  local self = history.new()
  function records.read(from)
    return { unpack(list, from + 1) }, #list, 0
  end
  self:update(now or NOW)
  return self
end

after_each(function() records.read = real_read end)

local function record(more)
  local made = {
    at = NOW - 1000, total_ms = 500, endpoint = 'messages', model = 'opus', status = 200, attempts = {}, cost = 0.5,
    tokens = { input = 1, output = 2, cache_read = 3, cache_write_5m = 4, cache_write_1h = 5 },
  }
  for name, value in pairs(more or {}) do made[name] = value end
  return made
end

it('requests, tokens and cost are summed up by model, client, token class and outcome', function()
  local self = of { record(), record { client = 'ann', model = 'haiku', status = 529, error = 'overloaded_error' } }
  local row = self:rows('fine')[1]
  assert.same({ opus = { 1, 15, 0.5 }, haiku = { 1, 15, 0.5 } }, row.model)
  assert.same({ unnamed = { 1, 15, 0.5 }, ann = { 1, 15, 0.5 } }, row.client)
  assert.same({ input = 2, output = 4, cache_read = 6, cache_write = 18 }, row.kind)
  assert.same({ ok = 1, failed = 1 }, row.outcome)
  assert.same(row.model, self:rows('coarse')[1].model)
end)

it('an exchange counts when it has ended, and not if that is too long ago', function()
  local self = of {
    record { at = NOW - 20000, total_ms = 19000 }, record { at = NOW - 7200000 }, record { at = NOW - 90000000 },
  }
  assert.equal(1, #self:rows 'fine')
  assert.equal(NOW - 5000, self:rows('fine')[1].t)
  assert.equal(2, #self:rows 'coarse')
  self:update(NOW + 16 * 60000)
  assert.equal(0, #self:rows 'fine')
end)

it('an unknown cost is counted apart', function()
  local missing = record()
  missing.cost = nil
  local row = of({ record(), missing, record { status = 500, cost = 0 } }):rows('fine')[1]
  assert.equal(1, row.unknown)
  assert.equal(0.5, row.model.opus[3])
end)

it('changed rows are told once', function()
  local list = { record() }
  local self = of(list)
  assert.equal(1, #self:changes 'fine')
  assert.equal(0, #self:changes 'fine')
  list[2] = record()
  self:update(NOW)
  assert.equal(2, self:changes('fine')[1].model.opus[1])
end)

it('the number of names is bounded', function()
  local list = {}
  for number = 1, 40 do list[number] = record { model = 'm' .. number } end
  local row = of(list):rows('fine')[1]
  local names = 0
  for _ in pairs(row.model) do names = names + 1 end
  assert.equal(25, names)
  assert.equal(16, row.model.other[1])
end)

it('models that nobody serves leave room for those that are served', function()
  local list = {}
  for number = 1, 40 do list[number] = record { model = 'junk' .. number, status = 404 } end
  list[41], list[42] = record { model = 'haiku' }, record { model = 'haiku', status = 529 }
  local row = of(list):rows('fine')[1]
  assert.equal(2, row.model.haiku[1])
  assert.equal(1, row.model.junk1[1])
  assert.equal(28, row.model.other[1])
end)

it('a name that is not seen for a day leaves its place to another', function()
  local list = {}
  for number = 1, 24 do list[number] = record { model = 'old' .. number } end
  local self = of(list)
  for hours = 23, 25, 2 do
    list[#list + 1] = record { at = NOW + hours * 3600000, model = 'old1' }
    list[#list + 1] = record { at = NOW + hours * 3600000, model = 'new' }
    self:update(NOW + hours * 3600000 + 1000)
    local rows, name = self:rows 'fine', hours == 23 and 'other' or 'new'
    assert.same({ [name] = { 1, 15, 0.5 }, old1 = { 1, 15, 0.5 } }, rows[#rows].model)
  end
end)

it('outcomes are those of the metrics', function()
  for expected, given in pairs {
    ok = {}, broken = { error = 'CC_ERESET' }, cancelled = { error = 'CC_ECLIENT_GONE' }, limited = { status = 429 },
    rejected = { status = 404 }, failed = { status = 502 },
  } do
    assert.equal(expected, history.outcome(record(given)))
  end
  local none = record()
  none.status = nil
  assert.equal('failed', history.outcome(none))
end)
