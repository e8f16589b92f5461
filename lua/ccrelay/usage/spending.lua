-- SPDX-License-Identifier: Apache-2.0
-- Keeps what was spent for each budget (limits/accounts.lua) in the database, and brings it back when a relay starts.
-- While a relay runs, the cells are authoritative; the database is a copy of those that have changed.
local ffi = require 'ffi'
local C = require 'ccrelay.c'
local accounts = require 'ccrelay.limits.accounts'
local cell = require 'ccrelay.shared.cell'
local periods = require 'ccrelay.limits.periods'
local slice = require 'ccrelay.util.slice'

local M = {}

local RESTORED = 'usage:restored' -- a cell: 1 when this relay has the amounts of the one before
local SAVE = [[INSERT INTO spent (account, begins, amount) VALUES (?1, ?2, ?3)
  ON CONFLICT (account, begins) DO UPDATE SET amount = excluded.amount]]

---@class ccrelay.Spending
---@field looked integer cells below this number have been looked at
---@field unnamed integer[] cells that had no name yet then
---@field known { number: integer, account: ccrelay.Account, saved: number? }[] cells that hold accounts
local Spending = {}
Spending.__index = Spending

---@return ccrelay.Spending
function M.new()
  return setmetatable({ looked = 0, unnamed = {}, known = {} }, Spending)
end

local name = ffi.new 'struct cc_slice'

local function look_at(self, number)
  if C.cc_cell_name(number, name) ~= C.CC_OK then
    self.unnamed[#self.unnamed + 1] = number
    return
  end
  local account = accounts.of_cell(slice.text(name))
  if account then self.known[#self.known + 1] = { number = number, account = account } end
end

local function find_accounts(self)
  local unnamed = self.unnamed
  self.unnamed = {}
  for _, number in ipairs(unnamed) do look_at(self, number) end
  for number = self.looked, C.cc_cells() - 1 do look_at(self, number) end
  self.looked = math.max(self.looked, C.cc_cells())
end

--- Returns the accounts that have changed since they were saved.
---@return { entry: table, value: number }[]
function Spending:changes()
  find_accounts(self)
  local list = {}
  for _, entry in ipairs(self.known) do
    local value = C.cc_cell_get(entry.number)
    if value ~= entry.saved then list[#list + 1] = { entry = entry, value = value } end
  end
  return list
end

--- Writes changes, within a transaction.
---@param database ccrelay.Database
---@param changes table of Spending:changes
function M.write(database, changes)
  for _, change in ipairs(changes) do
    local account = change.entry.account
    local begins = periods.current(account.period).begins
    database:execute(SAVE, account.cell, begins, accounts.millionths(account))
  end
end

--- Notes that changes are in the database.
---@param changes table
function M.written(changes)
  for _, change in ipairs(changes) do change.entry.saved = change.value end
end

--- Forgets what has been saved, so that a new file gets everything.
function Spending:forget()
  for _, entry in ipairs(self.known) do entry.saved = nil end
end

--- Adds what earlier relays have spent in the current periods to the accounts, once in the life of a relay. A process
--- that is killed within it leaves the database as it was, and the next one goes through the same rows: those that are
--- in their accounts already are not added again.
---@param database ccrelay.Database
---@return boolean restored false if that was done before
function M.restore(database)
  local done = cell.number(RESTORED)
  if C.cc_cell_get(done) == 1 then return false end
  for _, row in ipairs(database:rows('tnn', 'SELECT account, begins, amount FROM spent')) do
    local account = accounts.of_cell(row[1])
    if account and periods.current(account.period).begins == row[2] then accounts.restore(account, row[3]) end
  end
  C.cc_cell_set(done, 1)
  return true
end

--- Deletes what is older than a moment.
---@param database ccrelay.Database
---@param before number cc_time()
function M.prune(database, before)
  database:execute('DELETE FROM spent WHERE begins < ?1', before)
end

return M
