-- SPDX-License-Identifier: Apache-2.0
local fake = require 'support.fake_c'
local periods = require 'ccrelay.limits.periods'

local C = fake.C
local real

before_each(function() real = rawget(C, 'cc_time') end)
after_each(function() C.cc_time = real end)

local function at(text)
  local year, month, day, hour, minute, second = text:match '(%d+)-(%d+)-(%d+) (%d+):(%d+):(%d+)'
  -- Days from 1970 on, counted one year and month after the other.
  local lengths, days = { 31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31 }, 0
  local function is_leap(one) return one % 4 == 0 and (one % 100 ~= 0 or one % 400 == 0) end
  for one = 1970, year - 1 do days = days + (is_leap(one) and 366 or 365) end
  for one = 1, month - 1 do days = days + lengths[one] + (one == 2 and is_leap(tonumber(year)) and 1 or 0) end
  return (((days + day - 1) * 24 + hour) * 60 + minute) * 60000 + second * 1000
end

local function bounds(name, text)
  C.cc_time = function() return at(text) end
  local period = periods.current(name)
  local function shown(moment) return os.date('!%Y-%m-%d %H:%M:%S', moment / 1000) end
  return shown(period.begins) .. ' to ' .. shown(period.ends), period.number
end

for _, row in ipairs {
  { 'day', '2026-03-01 00:00:00', '2026-03-01 00:00:00 to 2026-03-02 00:00:00' },
  { 'day', '2026-03-01 23:59:59', '2026-03-01 00:00:00 to 2026-03-02 00:00:00' },
  { 'week', '2026-03-01 23:59:59', '2026-02-23 00:00:00 to 2026-03-02 00:00:00' }, -- a Sunday
  { 'week', '2026-03-02 00:00:00', '2026-03-02 00:00:00 to 2026-03-09 00:00:00' },
  { 'week', '2027-01-01 12:00:00', '2026-12-28 00:00:00 to 2027-01-04 00:00:00' },
  { 'month', '2026-03-01 00:00:00', '2026-03-01 00:00:00 to 2026-04-01 00:00:00' },
  { 'month', '2026-12-31 23:59:59', '2026-12-01 00:00:00 to 2027-01-01 00:00:00' },
  { 'month', '2028-02-29 12:00:00', '2028-02-01 00:00:00 to 2028-03-01 00:00:00' },
} do
  it('the ' .. row[1] .. ' of ' .. row[2], function() assert.equal(row[3], (bounds(row[1], row[2]))) end)
end

it('periods are counted without a gap', function()
  local _, january = bounds('month', '2027-01-31 10:00:00')
  local _, december = bounds('month', '2026-12-01 10:00:00')
  assert.equal(1, january - december)
  local _, monday = bounds('week', '2026-03-02 00:00:00')
  local _, sunday = bounds('week', '2026-03-01 23:59:59')
  assert.equal(1, monday - sunday)
end)

it('a clock that is set back gives the period before', function()
  bounds('day', '2026-03-02 00:00:00')
  assert.equal('2026-03-01 00:00:00 to 2026-03-02 00:00:00', (bounds('day', '2026-03-01 12:00:00')))
end)
