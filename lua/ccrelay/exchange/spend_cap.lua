-- SPDX-License-Identifier: Apache-2.0
-- Applies the budgets of clients as Claude Code's gateway protocol describes ("Usage-limit headers"): a refusal once
-- the budget is used up, headers on answers before that. It guarantees that a client with a budget does not see the
-- quota of the relay's keys.
local C = require 'ccrelay.c'
local each = require 'ccrelay.util.each'
local Outcome = require 'ccrelay.health.outcome'
local respond = require 'ccrelay.exchange.respond'
local budget = require 'ccrelay.limits.budget'
local wait = require 'ccrelay.sched.wait'

local M = {}

local QUOTA = 'anthropic-ratelimit-'
local UNIFIED = QUOTA .. 'unified-'
local THRESHOLDS = { 0.95, 0.75 } -- at which the client warns its user
local MOST_SHOWN = 0.99           -- 1 means used up
local MESSAGE = '%s is over its daily budget (%.7g of %.7g); it resets at 00:00 UTC, in %d h %d min'

--- The highest warning threshold that a share has reached, or nil.
---@param share number of the budget that is used, 0 to 1
---@return number?
function M.threshold(share)
  for _, threshold in ipairs(THRESHOLDS) do
    if share >= threshold then return threshold end
  end
  return nil
end

--- When budgets are reset, in seconds since 1970.
---@return integer
function M.resets_at()
  return math.floor((C.cc_time() + budget.remains()) / 1000 + 0.5)
end

local function set(exchange, headers)
  local reset = string.format('%d', M.resets_at())
  headers.reset, headers['overage-reset'] = reset, reset
  for name, value in each(headers) do respond.header(exchange, UNIFIED .. name, value) end
end

local function message_of(exchange, spent, per_day)
  local name = exchange.client.name
  local who = name and 'client "' .. name .. '"' or 'this relay'
  local minutes = math.ceil(budget.remains() / 60000)
  return string.format(MESSAGE, who, spent, per_day, math.floor(minutes / 60), minutes % 60)
end

-- Claude Code does not show the message if representative-claim or overage-status is there.
local function refuse(exchange, spent, per_day)
  set(exchange, {
    status = 'rejected', ['overage-utilization'] = '1', ['overage-surpassed-threshold'] = '1',
    ['overage-period'] = 'daily', ['overage-disabled-reason'] = 'org_spend_cap_reached',
  })
  respond.error(exchange, 429, message_of(exchange, spent, per_day), {
    type = 'billing_error', failure = 'budget', retry_after = budget.remains() / 1000, should_retry = false,
  })
  return respond.GIVEN
end

--- Refuses an exchange whose client is over its budget of the day. After this call, answers to the client tell how much
--- of the budget is used.
---@param exchange ccrelay.Exchange
---@return table? given to be returned by the policy; nil while it may spend more
function M.check(exchange)
  wait.check(exchange, 'over_budget')
  local per_day = budget.of(exchange)
  if not per_day then return nil end
  exchange.capped = true
  local spent = budget.spent(exchange)
  return spent >= per_day and refuse(exchange, spent, per_day) or nil
end

-- Whether the client has a budget and the attempt used the relay's credential.
local function stands_between(exchange, credential)
  return credential ~= 'client' and budget.of(exchange) ~= nil
end

local function is_quota(name) return string.sub(name, 1, #QUOTA) == QUOTA end

--- Whether a header of an upstream's answer is hidden from the client: it describes the quota of the relay's key, which
--- a client with a budget would take for its own.
---@param exchange ccrelay.Exchange
---@param credential string whose the attempt used: 'client', 'own' or 'adapter'
---@param name string in small letters
---@return boolean
function M.hides(exchange, credential, name)
  return is_quota(name) and stands_between(exchange, credential)
end

-- Tells the client how much of its budget is used.
local function set_usage(exchange)
  local share = budget.spent(exchange) / budget.of(exchange)
  local threshold = M.threshold(share)
  local status = threshold and 'allowed_warning' or 'allowed'
  set(exchange, {
    status = status, ['representative-claim'] = 'overage', ['overage-status'] = status,
    ['overage-utilization'] = string.format('%.2f', math.min(share, MOST_SHOWN)),
    ['overage-surpassed-threshold'] = threshold and tostring(threshold) or '',
  })
end

--- Replaces the upstream's quota by the client's budget in the headers of an answer that is about to be passed on.
---@param exchange ccrelay.Exchange
---@param outcome ccrelay.Outcome
function M.apply(exchange, outcome)
  if not stands_between(exchange, outcome.upstream.credential) then return end
  for _, name in ipairs(Outcome.header_names(outcome)) do
    if is_quota(name) then respond.header(exchange, name, '') end
  end
  if outcome.ok and exchange.capped then set_usage(exchange) end
end

return M
