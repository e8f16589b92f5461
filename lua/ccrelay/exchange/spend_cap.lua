-- SPDX-License-Identifier: Apache-2.0
-- Applies budgets as Claude Code's gateway protocol describes ("Usage-limit headers"): a refusal once
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
local MESSAGE = '%s is over its %s budget (%.7g of %.7g); it resets %s'

--- The highest warning threshold that a share has reached, or nil.
---@param share number of the budget that is used, 0 to 1
---@return number?
function M.threshold(share)
  for _, threshold in ipairs(THRESHOLDS) do
    if share >= threshold then return threshold end
  end
  return nil
end

--- When a budget is reset, in seconds since 1970.
---@param one ccrelay.Budget
---@return integer
function M.resets_at(one)
  return math.floor(budget.period(one).ends / 1000 + 0.5)
end

local function set(exchange, one, headers)
  local reset = string.format('%d', M.resets_at(one))
  headers.reset, headers['overage-reset'] = reset, reset
  for name, value in each(headers) do respond.header(exchange, UNIFIED .. name, value) end
end

local function reset_text(one, remains)
  local minutes = math.ceil(remains / 60000)
  local hours = math.floor(minutes / 60)
  if hours < 24 then return string.format('at 00:00 UTC, in %d h %d min', hours, minutes % 60) end
  return string.format('on %s at 00:00 UTC, in %d d %d h', os.date('!%Y-%m-%d', M.resets_at(one)),
    math.floor(hours / 24), hours % 24)
end

local function message_of(one, remains)
  local who = one.name ~= '' and string.format('%s "%s"', one.kind, one.name) or 'this relay'
  return string.format(MESSAGE, who, budget.period(one).adjective, budget.spent_of(one), one.amount,
    reset_text(one, remains))
end

-- Claude Code does not show the message if representative-claim or overage-status is there.
local function refuse(exchange, one)
  local period = budget.period(one)
  local remains = period.ends - C.cc_time()
  set(exchange, one, {
    status = 'rejected', ['overage-utilization'] = '1', ['overage-surpassed-threshold'] = '1',
    ['overage-period'] = period.adjective, ['overage-disabled-reason'] = 'org_spend_cap_reached',
  })
  respond.error(exchange, 429, message_of(one, remains), {
    type = 'billing_error', failure = 'budget', retry_after = remains / 1000, should_retry = false,
  })
  return respond.GIVEN
end

--- Refuses an exchange if a budget of its client, group or model is used up. After this call, answers to the client
--- tell how much of its tightest budget is used.
---@param exchange ccrelay.Exchange
---@return table? given to be returned by the policy; nil while it may spend more
function M.check(exchange)
  wait.check(exchange, 'over_budget')
  if not budget.tightest(exchange) then return nil end
  exchange.capped = true
  local used_up = budget.used_up(exchange)
  return used_up and refuse(exchange, used_up) or nil
end

-- Tells whether the exchange counts for a budget: one applies, and the attempt used the relay's credential.
local function counts_for_budget(exchange, credential)
  return credential ~= 'client' and budget.tightest(exchange) ~= nil
end

local function is_quota(name) return string.sub(name, 1, #QUOTA) == QUOTA end

--- Whether a header of an upstream's answer is hidden from the client: it describes the quota of the relay's key, which
--- a client with a budget would take for its own.
---@param exchange ccrelay.Exchange
---@param credential string whose the attempt used: 'client', 'own' or 'adapter'
---@param name string in small letters
---@return boolean
function M.hides(exchange, credential, name)
  return is_quota(name) and counts_for_budget(exchange, credential)
end

-- Tells the client how much of its tightest budget is used.
local function set_usage(exchange)
  local one = budget.tightest(exchange)
  local share = budget.spent_of(one) / one.amount
  local threshold = M.threshold(share)
  local status = threshold and 'allowed_warning' or 'allowed'
  set(exchange, one, {
    status = status, ['representative-claim'] = 'overage', ['overage-status'] = status,
    ['overage-utilization'] = string.format('%.2f', math.min(share, MOST_SHOWN)),
    ['overage-surpassed-threshold'] = threshold and tostring(threshold) or '',
  })
end

--- Replaces the upstream's quota by the client's budget in the headers of an answer that is about to be passed on.
---@param exchange ccrelay.Exchange
---@param outcome ccrelay.Outcome
function M.apply(exchange, outcome)
  if not counts_for_budget(exchange, outcome.upstream.credential) then return end
  for _, name in ipairs(Outcome.header_names(outcome)) do
    if is_quota(name) then respond.header(exchange, name, '') end
  end
  if outcome.ok and exchange.capped then set_usage(exchange) end
end

return M
