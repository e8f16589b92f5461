-- SPDX-License-Identifier: Apache-2.0
-- Budgets of clients, groups of clients and models: which of them apply to an exchange, and what has been spent of
-- them, over all workers.
local C = require 'ccrelay.c'
local accounts = require 'ccrelay.limits.accounts'
local each = require 'ccrelay.util.each'
local lists = require 'ccrelay.util.lists'
local patterns = require 'ccrelay.util.patterns'
local periods = require 'ccrelay.limits.periods'

---@class ccrelay.Budget
---@field kind 'client'|'group'|'model'
---@field name string of the client or group, or the pattern of the models; '' for clients without a name
---@field amount number that may be spent in a period
---@field account ccrelay.Account

---@class ccrelay.Purse what counts for a client, or for a model
---@field budgets ccrelay.Budget[]
---@field accounts ccrelay.Account[] to which costs are added
---@field day ccrelay.Account? the client's account of the day, which exists without a budget, too

local M = {}

local NOTHING = { budgets = {}, accounts = {} }

-- ---- What applies ------------------------------------------------------------------------------

local function add_budgets(purse, kind, name, amounts, usual)
  for _, period in ipairs(periods.names) do
    local key = 'budget_per_' .. period
    local amount = amounts[key] or usual and usual[key] or 0
    if amount > 0 then
      local account = accounts.of(kind, name, period)
      purse.budgets[#purse.budgets + 1] = { kind = kind, name = name, amount = amount, account = account }
      purse.accounts[#purse.accounts + 1] = account
    end
  end
end

-- Names come from the configuration, so there are no more accounts than clients; clients without a name share theirs.
local function purse_of_client(name, client, group, routing)
  local purse = { budgets = {}, accounts = {} }
  add_budgets(purse, 'client', name, client, routing)
  local has_day = purse.budgets[1] and purse.budgets[1].account.period == 'day'
  purse.day = has_day and purse.accounts[1] or accounts.of('client', name, 'day')
  if not has_day then purse.accounts[#purse.accounts + 1] = purse.day end
  if group then add_budgets(purse, 'group', group.name, group) end
  return purse
end

local function purses_of_models(rows)
  local purses = {}
  for pattern, amounts in each(rows or {}) do
    purses[pattern] = { budgets = {}, accounts = {} }
    add_budgets(purses[pattern], 'model', pattern, amounts)
  end
  local exact, prefixes = patterns.split(purses)
  return { exact = exact, prefixes = prefixes, any = next(purses) ~= nil, all = purses }
end

local function build(configuration)
  local auth, groups, clients = configuration.server.auth or {}, {}, {}
  for _, group in ipairs(auth.groups or {}) do groups[group.name] = group end
  for _, client in ipairs(auth.clients or {}) do
    clients[client.name] = purse_of_client(client.name, client, groups[client.group], configuration.routing)
  end
  return { clients = clients, models = purses_of_models(configuration.routing.model_budgets),
    unnamed = purse_of_client('', {}, nil, configuration.routing), made = {} }
end

-- The purses of a configuration, made once.
local books = setmetatable({}, { __mode = 'k' })

local function book_of_configuration(configuration)
  local found = books[configuration]
  if not found then
    found = build(configuration)
    books[configuration] = found
  end
  return found
end

local function book_of(exchange) return book_of_configuration(exchange.generation.configuration) end

local function purse_of(exchange)
  local book, name = book_of(exchange), exchange.client.name
  if not name then return book.unnamed end
  local purse = book.clients[name] or book.made[name]
  if not purse then
    purse = purse_of_client(name, {}, nil, exchange.generation.configuration.routing)
    book.made[name] = purse
  end
  return purse
end

-- The model counts as the client names it.
local function purse_of_model(exchange)
  local models, cache = book_of(exchange).models, exchange.cache
  local model = models.any and cache and (cache.original_model or cache.model)
  return model and patterns.find(models.exact, models.prefixes, model) or NOTHING
end

-- ---- What has been spent -----------------------------------------------------------------------

--- Returns how much of a budget has been spent in the current period.
---@param budget ccrelay.Budget
---@return number
function M.spent_of(budget)
  return accounts.spent(budget.account)
end

--- Returns the current period of a budget.
---@param budget ccrelay.Budget
---@return ccrelay.Period
function M.period(budget)
  return periods.current(budget.account.period)
end

-- Of the budgets in a list that are used up, and the one found before, the one that is reset last.
local function used_up(list, found)
  for _, budget in ipairs(list) do
    local is_over = accounts.spent(budget.account) >= budget.amount
    if is_over and (not found or M.period(budget).ends > M.period(found).ends) then found = budget end
  end
  return found
end

--- Returns the budget of an exchange that is used up: of several, the one that is reset last.
---@param exchange ccrelay.Exchange
---@return ccrelay.Budget?
function M.used_up(exchange)
  return used_up(purse_of_model(exchange).budgets, used_up(purse_of(exchange).budgets))
end

local function tightest(list, found)
  for _, budget in ipairs(list) do
    local share = accounts.spent(budget.account) / budget.amount
    if not found or share > accounts.spent(found.account) / found.amount then found = budget end
  end
  return found
end

--- Returns the budget of an exchange of which the largest share has been spent; nil if nothing bounds it.
---@param exchange ccrelay.Exchange
---@return ccrelay.Budget?
function M.tightest(exchange)
  return tightest(purse_of_model(exchange).budgets, tightest(purse_of(exchange).budgets))
end

--- Returns the budgets of an exchange's client and of its group.
---@param exchange ccrelay.Exchange
---@return ccrelay.Budget[]
function M.of_client(exchange)
  return purse_of(exchange).budgets
end

local function add_new(list, seen, budgets)
  for _, budget in ipairs(budgets) do
    local cell = budget.account.cell
    if not seen[cell] then list[#list + 1], seen[cell] = budget, true end
  end
end

--- Returns all budgets of a configuration, each once: by client in the order of their names, then of clients without a
--- name, then by model.
---@param configuration table
---@return ccrelay.Budget[]
function M.all(configuration)
  local book, list, seen = book_of_configuration(configuration), {}, {}
  for _, name in ipairs(lists.names(book.clients)) do add_new(list, seen, book.clients[name].budgets) end
  add_new(list, seen, book.unnamed.budgets)
  for _, name in ipairs(lists.names(book.models.all)) do add_new(list, seen, book.models.all[name].budgets) end
  return list
end

--- Returns the daily budget of an exchange's client.
---@param exchange ccrelay.Exchange
---@return number? nil: unlimited
function M.of(exchange)
  local first = purse_of(exchange).budgets[1]
  return first and first.kind == 'client' and first.account.period == 'day' and first.amount or nil
end

--- Returns how much the client of an exchange has spent today.
---@param exchange ccrelay.Exchange
---@return number
function M.spent(exchange)
  return accounts.spent(purse_of(exchange).day)
end

--- Adds a cost to what has been spent of all budgets of an exchange.
---@param exchange ccrelay.Exchange
---@param cost number
function M.spend(exchange, cost)
  for _, account in ipairs(purse_of(exchange).accounts) do accounts.add(account, cost) end
  for _, account in ipairs(purse_of_model(exchange).accounts) do accounts.add(account, cost) end
end

--- Returns the milliseconds until the day ends.
---@return number
function M.remains()
  return periods.current('day').ends - C.cc_time()
end

return M
