-- SPDX-License-Identifier: Apache-2.0
-- The periods of budgets: days, weeks that begin on Monday, and calendar months, all in UTC.
local C = require 'ccrelay.c'

local M = {}

local DAY = 86400000
local MONDAY = 3 -- 1970-01-01 was a Thursday, the fourth day of its week

---@class ccrelay.Period
---@field name 'day'|'week'|'month'
---@field adjective string
---@field number integer counts the periods
---@field begins number cc_time() at its begin
---@field ends number cc_time() at its end

local function of_day(now)
  local number = math.floor(now / DAY)
  return number, number * DAY, (number + 1) * DAY
end

local function of_week(now)
  local number = math.floor((math.floor(now / DAY) + MONDAY) / 7)
  return number, (number * 7 - MONDAY) * DAY, (number * 7 + 7 - MONDAY) * DAY
end

-- The begin of the month that a moment is in.
local function month_of(now)
  local date = os.date('!*t', math.floor(now / 1000))
  return (math.floor(now / DAY) - date.day + 1) * DAY, date
end

local function of_month(now)
  local begins, date = month_of(now)
  return date.year * 12 + date.month - 1, begins, (month_of(begins + 32 * DAY))
end

local bounds = { day = of_day, week = of_week, month = of_month }

M.names = { 'day', 'week', 'month' }

local current = {
  day = { name = 'day', adjective = 'daily', number = 0, begins = 0, ends = 0 },
  week = { name = 'week', adjective = 'weekly', number = 0, begins = 0, ends = 0 },
  month = { name = 'month', adjective = 'monthly', number = 0, begins = 0, ends = 0 },
}

--- Returns the current period of this name. The table changes when the next period begins.
---@param name 'day'|'week'|'month'
---@return ccrelay.Period
function M.current(name)
  local period, now = current[name], C.cc_time()
  if now >= period.ends or now < period.begins then
    period.number, period.begins, period.ends = bounds[name](now)
  end
  return period
end

return M
