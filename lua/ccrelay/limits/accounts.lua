-- SPDX-License-Identifier: Apache-2.0
-- Accounts: what has been spent for a budget in the current day, week or month, over all workers. Each is one cell, so
-- that adding and reading never wait. usage/spending.lua keeps them over restarts.
--
-- The number in a cell holds the amount, whether that of an earlier run is in it, and the period it belongs to. All
-- three change at once, so a process may be killed anywhere and nothing counts twice.
local C = require 'ccrelay.c'
local cell = require 'ccrelay.shared.cell'
local periods = require 'ccrelay.limits.periods'

---@class ccrelay.Account
---@field cell string name of its cell
---@field period 'day'|'week'|'month'

local M = {}

local STAMPS = 1024     -- a period is known by its number modulo this
local SCALE = 1000000   -- cells hold integers: millionths of the currency
local MOST = 2 ^ 42 - 1 -- so that all three are below 2^53

--- Returns the account of a subject for a period.
---@param kind 'client'|'group'|'model'
---@param name string
---@param period 'day'|'week'|'month'
---@return ccrelay.Account
function M.of(kind, name, period)
  local is_first = kind == 'client' and period == 'day'
  local prefix = is_first and 'spent' or ('spent.%s.%s'):format(kind, period)
  return { cell = cell.fit(prefix .. ':' .. name), period = period }
end

--- Returns the account that a cell holds.
---@param name string of the cell
---@return ccrelay.Account? account nil if it holds none
function M.of_cell(name)
  if string.find(name, '^spent:') then return { cell = name, period = 'day' } end
  local period = string.match(name, '^spent%.%l+%.(%l+):')
  return period and { cell = name, period = period } or nil
end

local function stamp_of(account)
  return periods.current(account.period).number % STAMPS
end

-- Returns the amount in a number, and 1 if it contains what an earlier run has spent, else 0.
local function parts(value, stamp)
  if value % STAMPS ~= stamp then return 0, 0 end
  local rest = (value - stamp) / STAMPS
  local restored = rest % 2
  return (rest - restored) / 2, restored
end

-- restores: 1 if the amount is that of an earlier run, else 0.
local function add(account, millionths, restores)
  local number, stamp = cell.number(account.cell), stamp_of(account)
  if number < 0 then return end
  local before, after
  repeat
    before = C.cc_cell_get(number)
    local amount, restored = parts(before, stamp)
    if restores + restored == 2 then return end
    after = (math.min(amount + millionths, MOST) * 2 + restores + restored) * STAMPS + stamp
  until C.cc_cell_swap(number, before, after)
end

--- Adds to what was spent in the current period.
---@param account ccrelay.Account
---@param cost number in the currency of routing.prices
function M.add(account, cost)
  add(account, math.floor(cost * SCALE + 0.5), 0)
end

--- Returns what was spent in the current period.
---@param account ccrelay.Account
---@return number
function M.spent(account)
  return M.millionths(account) / SCALE
end

--- Returns what was spent in the current period, as the cell has it.
---@param account ccrelay.Account
---@return integer
function M.millionths(account)
  return (parts(C.cc_cell_get(cell.number(account.cell)), stamp_of(account)))
end

--- Adds what an earlier run of the relay has saved for the current period. To do it again changes nothing.
---@param account ccrelay.Account
---@param millionths integer
function M.restore(account, millionths)
  add(account, millionths, 1)
end

return M
