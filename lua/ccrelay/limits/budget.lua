-- SPDX-License-Identifier: Apache-2.0
-- Daily budgets of clients (UTC): how much each has spent, over all workers, and how much it may spend.
local C = require 'ccrelay.c'
local accounts = require 'ccrelay.limits.accounts'
local memoize = require 'ccrelay.util.memoize'
local periods = require 'ccrelay.limits.periods'

local M = {}

-- Names come from the configuration, so there are no more accounts than clients; clients without a name share one.
local account_named = memoize.results(function(name) return accounts.of('client', name, 'day') end)

local function account_of(exchange)
  return account_named(exchange.client.name or '')
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
  return accounts.spent(account_of(exchange))
end

--- Adds a cost to the amount that the client of an exchange has spent today.
---@param exchange ccrelay.Exchange
---@param cost number
function M.spend(exchange, cost)
  accounts.add(account_of(exchange), cost)
end

--- Returns the milliseconds until the day ends.
---@return number
function M.remains()
  return periods.current('day').ends - C.cc_time()
end

return M
