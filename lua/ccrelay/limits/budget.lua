-- SPDX-License-Identifier: Apache-2.0
-- Daily budgets of clients (UTC): how much each has spent, over all workers, and how much it may spend.
local C = require 'ccrelay.c'
local cell = require 'ccrelay.shared.cell'

local M = {}

local DAY = 86400000
local DAYS = 1024      -- one number holds the amount and its day, so that both change at once
local SCALE = 1000000  -- cells hold integers: millionths of the currency
local MOST = 2 ^ 42

-- Names come from the configuration, so there are no more cells than clients; clients without a name share one.
local function number_of(exchange)
  return cell.number('spent:' .. (exchange.client.name or ''))
end

local function today()
  return math.floor(C.cc_time() / DAY) % DAYS
end

local function amount(value, day)
  return value % DAYS == day and (value - day) / DAYS or 0
end

-- The budgets of a configuration by client, computed once.
local bounds = setmetatable({}, { __mode = 'k' })

local function bounds_of(configuration)
  local found = bounds[configuration]
  if not found then
    found = {}
    for _, client in ipairs((configuration.server.auth or {}).clients or {}) do
      found[client.name] = client.budget_per_day
    end
    bounds[configuration] = found
  end
  return found
end

--- Returns the daily budget of an exchange's client.
---@param exchange ccrelay.Exchange
---@return number? nil: unlimited
function M.of(exchange)
  local configuration = exchange.generation.configuration
  local name = exchange.client.name
  local bound = name and bounds_of(configuration)[name]
    or configuration.routing.budget_per_day or 0
  return bound > 0 and bound or nil
end

--- Returns how much the client of an exchange has spent today.
---@param exchange ccrelay.Exchange
---@return number
function M.spent(exchange)
  return amount(C.cc_cell_get(number_of(exchange)), today()) / SCALE
end

--- Adds a cost to the amount that the client of an exchange has spent today.
---@param exchange ccrelay.Exchange
---@param cost number
function M.spend(exchange, cost)
  local number, day = number_of(exchange), today()
  if number < 0 then return end
  local added = math.floor(cost * SCALE + 0.5)
  local before, after
  repeat
    before = C.cc_cell_get(number)
    after = math.min(amount(before, day) + added, MOST) * DAYS + day
  until C.cc_cell_swap(number, before, after)
end

--- Returns the milliseconds until the day ends.
---@return number
function M.remains()
  return DAY - C.cc_time() % DAY
end

return M
