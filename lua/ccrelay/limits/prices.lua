-- SPDX-License-Identifier: Apache-2.0
-- Costs of tokens by routing.prices: what a request may cost at most, and what an exchange has cost.
local C = require 'ccrelay.c'
local date = require 'ccrelay.util.date'
local each = require 'ccrelay.util.each'
local patterns = require 'ccrelay.util.patterns'

---@class ccrelay.TokenPrices for a million tokens
---@field input number
---@field output number
---@field cache_read number? as input unless given
---@field cache_write_5m number? as input unless given
---@field cache_write_1h number? as input unless given

---@class ccrelay.Price: ccrelay.TokenPrices
---@field priority ccrelay.TokenPrices? of the priority tier; as the others unless given
---@field batch ccrelay.TokenPrices? of the batch tier, likewise
---@field fast ccrelay.TokenPrices? of fast mode, likewise
---@field changes ccrelay.Price[]? with a member `from`: the first day (UTC) of these prices, YYYY-MM-DD

---@class ccrelay.Prices
---@field exact table<string, ccrelay.Price>
---@field prefixes table[]
---@field own_exact table<string, ccrelay.Price> prices that name a provider
---@field own_prefixes table[]
---@field starts table<ccrelay.Price, { at: number, price: ccrelay.Price }[]> of prices that change, the latest first
local Prices = {}
Prices.__index = Prices

local M = {}

local MILLION = 1000000

local function starts_of(price)
  local list = {}
  for index, change in ipairs(price.changes) do
    list[index] = { at = date.rfc3339(change.from .. 'T00:00:00Z'), price = change }
  end
  table.sort(list, function(a, b) return a.at > b.at end)
  return list
end

--- Makes the prices of a configuration.
---@param rows table<string, ccrelay.Price>? by MODEL or PROVIDER/MODEL, which may end in *
---@return ccrelay.Prices
function M.new(rows)
  local exact, prefixes = patterns.split(rows or {})
  local own, starts = {}, {}
  for name, price in each(rows or {}) do
    own[name] = string.find(name, '/', 1, true) and price or nil
    starts[price] = price.changes and starts_of(price) or nil
  end
  local own_exact, own_prefixes = patterns.split(own)
  return setmetatable({ exact = exact, prefixes = prefixes, own_exact = own_exact, own_prefixes = own_prefixes,
    starts = starts }, Prices)
end

-- Returns the price that is in force now.
local function current(self, price)
  for _, start in ipairs(self.starts[price] or {}) do
    if C.cc_time() >= start.at then return start.price end
  end
  return price
end

--- Returns the price at an upstream today. A price that names its provider comes before one of the model alone.
---@param upstream ccrelay.Upstream
---@return ccrelay.Price?
function Prices:of(upstream)
  local model = upstream.model or ''
  local price = patterns.find(self.own_exact, self.own_prefixes, upstream.provider .. '/' .. model)
    or patterns.find(self.exact, self.prefixes, model)
  return price and current(self, price)
end

--- Returns what a request may cost if nothing of it is in a prompt cache.
---@param upstream ccrelay.Upstream
---@param input number tokens
---@param output number tokens
---@return number? nil without a price
function Prices:expected(upstream, input, output)
  local price = self:of(upstream)
  return price and (input * price.input + output * price.output) / MILLION
end

local function of_losers(self, losers)
  local sum = 0
  for _, loser in ipairs(losers or {}) do sum = sum + (self:expected(loser.upstream, loser.input_tokens, 0) or 0) end
  return sum
end

-- The prices of the way in which the provider served, if there are any of their own.
local function served_at(price, report)
  return report.fast and price.fast or report.tier and price[report.tier] or price
end

local function of_answer(price, report)
  local hour = report.cache_write_1h_tokens
  return report.input_tokens * price.input + report.output_tokens * price.output
    + report.cache_read_tokens * (price.cache_read or price.input)
    + (report.cache_write_tokens - hour) * (price.cache_write_5m or price.input)
    + hour * (price.cache_write_1h or price.input)
end

--- Returns what an exchange has cost: its answer, and the input of attempts that lost a race. Errors cost nothing.
---@param report ccrelay.Report
---@return number? nil when its usage or price is not known
function Prices:cost(report)
  local losers = of_losers(self, report.raced)
  if not report.upstream or not report.usage_known and report.status >= 400 then return losers end
  local price = self:of(report.upstream)
  if not price or not report.usage_known then return nil end
  return of_answer(served_at(price, report), report) / MILLION + losers
end

return M
