-- SPDX-License-Identifier: Apache-2.0
-- Accounts: what has been spent for a budget in the current day, week or month, over all workers. Each is one cell, so
-- that adding and reading never wait. usage/spending.lua keeps them over restarts.
local C = require 'ccrelay.c'
local cell = require 'ccrelay.shared.cell'
local periods = require 'ccrelay.limits.periods'

---@class ccrelay.Account
---@field cell string name of its cell
---@field period 'day'|'week'|'month'

local M = {}

local STAMPS = 1024    -- one number holds the amount and the period it belongs to, so that both change at once
local SCALE = 1000000  -- cells hold integers: millionths of the currency
local MOST = 2 ^ 42

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

local function amount(value, stamp)
  return value % STAMPS == stamp and (value - stamp) / STAMPS or 0
end

local function add(account, millionths)
  local number, stamp = cell.number(account.cell), periods.current(account.period).number % STAMPS
  if number < 0 then return end
  local before, after
  repeat
    before = C.cc_cell_get(number)
    after = math.min(amount(before, stamp) + millionths, MOST) * STAMPS + stamp
  until C.cc_cell_swap(number, before, after)
end

--- Adds to what was spent in the current period.
---@param account ccrelay.Account
---@param cost number in the currency of routing.prices
function M.add(account, cost)
  add(account, math.floor(cost * SCALE + 0.5))
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
  local stamp = periods.current(account.period).number % STAMPS
  return amount(C.cc_cell_get(cell.number(account.cell)), stamp)
end

--- Adds what an earlier run of the relay has saved.
---@param account ccrelay.Account
---@param millionths integer
function M.restore(account, millionths)
  add(account, millionths)
end

return M
