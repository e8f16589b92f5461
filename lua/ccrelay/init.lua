-- SPDX-License-Identifier: Apache-2.0
-- What policies get as require 'ccrelay'.
local C = require 'ccrelay.c'
local budget = require 'ccrelay.limits.budget'
local cell = require 'ccrelay.shared.cell'
local sha256 = require 'ccrelay.util.sha256'
local each = require 'ccrelay.util.each'
local handle = require 'ccrelay.script.handle'
local ffi = require 'ffi'
local json = require 'ccrelay.util.json'
local latency = require 'ccrelay.health.latency'
local members = require 'ccrelay.script.members'
local deep_copy = require 'ccrelay.script.deep_copy'
local prices = require 'ccrelay.limits.prices'
local random = require 'ccrelay.util.random'
local spend_cap = require 'ccrelay.exchange.spend_cap'
local call = require 'ccrelay.script.call'
local upstream = require 'ccrelay.routing.candidates'

local M = {}

---@class ccrelay.Relay
---@field version string version of ccrelay
---@field routing ccrelay.Routing section routing of the configuration
---@field json ccrelay.Json JSON encoder and decoder
---@field price fun(upstream: ccrelay.Upstream, exchange: ccrelay.Exchange): number? estimated cost there
---@field cost fun(report: ccrelay.Report): number? cost of a finished exchange
---@field log fun(text: string)|fun(level: 'debug'|'info'|'warn'|'error', text: string) writes to the log
---@field provider fun(settings: table) declares a provider, only while the script is loaded
local Relay = {}

---@class ccrelay.Routing
---@field strategy string name of a file in policies/
---@field failover_timeout integer milliseconds
---@field model_mapping table<string, string> provider by prefix of the model
---@field default_provider string? provider of the models that model_mapping does not name
---@field queue_ms integer milliseconds
---@field race_on_failure boolean whether failover races the others after a first failure
---@field classes table<string, string> model by request class
---@field prices table prices of a million tokens, by model
---@field budget_per_day number budget of clients without their own
---@field budget_per_week number likewise
---@field budget_per_month number likewise
---@field model_budgets table<string, table> budgets of all clients together, by model
---@field debug boolean whether answers carry x-cc-relay-* headers

local function exchange_of(value, action)
  return handle.object(value, 'exchange') or error('relay.' .. action .. ' takes an exchange', 3)
end

local function upstream_of(value, action)
  return handle.object(value, 'upstream') or error('relay.' .. action .. ' takes one of relay.upstreams(exchange)', 3)
end

local candidates = call.library(function(exchange, filter)
  local list = upstream.await(exchange, filter)
  for index, one in ipairs(list) do list[index] = handle.of(one) end
  return list
end)

local FILTER = { provider = true, type = true, wait = true }

-- A provider that is switched off, or whose keys were skipped, is none of the candidates, and no slip.
local function check_provider(generation, name)
  if generation.provider_names[name] then return end
  members.raise(('there is no provider "%s"%s'):format(tostring(name),
    members.suggestion(name, generation.provider_names)))
end

--- Returns the candidates of an exchange, best first: upstreams that serve its model, may be used by its
--- client, are healthy and have room in their limits. A filter narrows them: { provider = name } or
--- { type = name }. If all are at their limits, it waits up to routing.queue_ms, unless the filter has
--- wait = false.
---@param exchange ccrelay.Exchange
---@param filter { provider: string?, type: string?, wait: boolean? }?
---@return ccrelay.Upstream[]
function Relay.upstreams(exchange, filter)
  local object = exchange_of(exchange, 'upstreams')
  members.check('the filter of relay.upstreams', filter, FILTER)
  local narrow = filter and {
    provider = handle.member(filter, 'provider'), type = handle.member(filter, 'type'),
    wait = handle.member(filter, 'wait'),
  }
  if narrow and narrow.provider ~= nil then check_provider(object.generation, narrow.provider) end
  return candidates(object, narrow)
end

--- Returns the milliseconds within which 95 % of the streams of this model at this provider have their
--- first content, over all workers; nil before 20 streams.
---@param one ccrelay.Upstream
---@return number?
function Relay.latency(one)
  return latency.of(upstream_of(one, 'latency'))
end

--- Returns what the client may spend per day (UTC), what it has spent today, and when the day ends.
---@param exchange ccrelay.Exchange
---@return { per_day: number?, spent: number, remains_ms: number }
function Relay.budget(exchange)
  local object = exchange_of(exchange, 'budget')
  return { per_day = budget.of(object), spent = budget.spent(object), remains_ms = budget.remains() }
end

local over_budget = call.library(spend_cap.check)

--- Answers the exchange if a budget of its client, group or model is used up: 429 billing_error with the seconds
--- until it is reset, which clients show and do not retry. Returns what route must return then, else nil; answers
--- of the exchange then have headers that tell how much of its tightest budget is used.
---@param exchange ccrelay.Exchange
---@return table? given
function Relay.over_budget(exchange)
  return over_budget(exchange_of(exchange, 'over_budget'))
end

--- Adds to what has been spent of all budgets of the exchange's client, group and model.
---@param exchange ccrelay.Exchange
---@param cost number
function Relay.spend(exchange, cost)
  local object = exchange_of(exchange, 'spend')
  if type(cost) ~= 'number' or not (cost >= 0 and cost < math.huge) then
    error('relay.spend takes an amount, 0 or more', 2)
  end
  budget.spend(object, cost)
end

--- Returns the cell of this name, which all workers share and a reload keeps.
---@param name string
---@return ccrelay.Cell
function Relay.cell(name)
  return cell.of_policy(name)
end

--- Returns milliseconds of a monotonic clock.
---@return number
function Relay.now()
  return C.cc_now()
end

--- Returns milliseconds since 1970.
---@return number
function Relay.time()
  return C.cc_time()
end

--- Returns a number in [0, 1), or an integer from 1 to most.
---@param most integer?
---@return number
function Relay.random(most)
  return random.number(most)
end

--- Returns an integer from 0 to 2^48 - 1, always the same for the same text.
---@param text string
---@return integer
function Relay.hash(text)
  return sha256.number(tostring(text), 6)
end

local LEVELS = { debug = true, info = true, warn = true, error = true }

local function log(logger, level, message)
  if message == nil then level, message = 'info', level end
  if not LEVELS[level] then error('relay.log takes a level (debug, info, warn, error) and a text', 3) end
  logger:say(level, tostring(message))
end

---@class ccrelay.Context what a script is loaded into
---@field logger ccrelay.Logger
---@field routing table
---@field declared table[]? providers the script declares; nil when it has been loaded

-- What needs the prices of the configuration.
local function add_prices(relay, rows)
  local book = prices.new(rows)

  --- What the exchange's request may cost at an upstream by routing.prices, with nothing of it in a
  --- cache; nil without a price.
  ---@param one ccrelay.Upstream
  ---@param exchange ccrelay.Exchange
  ---@return number?
  function relay.price(one, exchange)
    return book:expected(upstream_of(one, 'price'), exchange_of(exchange, 'price'):estimate())
  end

  --- What an exchange has cost by routing.prices; nil when its usage or price is not known.
  ---@param report ccrelay.Report
  ---@return number?
  function relay.cost(report)
    if type(report) ~= 'table' or not report.total_ms then error('relay.cost takes the report of on_done', 2) end
    return book:cost(report)
  end
end

--- The module for one script.
---@param context ccrelay.Context
---@return ccrelay.Relay
function M.bind(context)
  local relay = { version = ffi.string(C.cc_version()), routing = deep_copy.plain(context.routing) }
  for name, value in each(Relay) do relay[name] = value end
  relay.json = json.for_scripts()

  add_prices(relay, context.routing.prices)

  --- Writes to the log: relay.log(text) or relay.log(level, text). Secrets are taken out.
  function relay.log(level, message)
    log(context.logger, level, message)
  end

  --- Declares a provider, by the schema of the configuration. A script that does is the whole
  --- configuration: the providers of the file do not count.
  function relay.provider(settings)
    if not context.declared then error('relay.provider is for the time a script is loaded', 2) end
    if type(settings) ~= 'table' then error('relay.provider takes a table', 2) end
    local own, message = deep_copy.copy(settings, 'relay.provider')
    if message then error(message, 2) end
    context.declared[#context.declared + 1] = own
  end

  return relay
end

return M
