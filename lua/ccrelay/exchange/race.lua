-- SPDX-License-Identifier: Apache-2.0
-- Races two attempts: the first good answer wins, and the other attempt is cancelled.
local C = require 'ccrelay.c'
local attempts = require 'ccrelay.exchange.attempt'
local each = require 'ccrelay.util.each'
local failover = require 'ccrelay.exchange.failover'
local latency = require 'ccrelay.health.latency'
local learn = require 'ccrelay.health.learn'
local most_telling = require 'ccrelay.health.most_telling'
local wait = require 'ccrelay.sched.wait'

local M = {}

---@class ccrelay.Loser an attempt that was cancelled because another was quicker
---@field upstream ccrelay.Upstream
---@field attempt ccrelay.Attempt
---@field input_tokens integer that it may have cost: 0 when it was not sent
---@field began number moment (cc_now) at which it was begun
---@field total_ms number until it was cancelled

---@class ccrelay.Race
---@field list ccrelay.Upstream[]
---@field next integer
---@field running table<integer, ccrelay.Attempt> by number
---@field count integer
---@field outcome ccrelay.Outcome? the last
---@field refusal ccrelay.Outcome? the first that is neither good nor retryable

-- Starts an attempt at the next upstream that allows one.
local function start_next(exchange, race)
  while race.next <= #race.list and not attempts.at_limit(exchange, race.count) do
    local upstream, attempt, outcome = race.list[race.next], nil, nil
    if not learn.is_given_up(exchange, upstream) and not learn.has_just_failed(exchange, upstream) then
      local more = failover.has_more(exchange, race.list, race.next)
      attempt, outcome = attempts.start(exchange, upstream, more, race)
      if not attempt and not outcome then return end
    end
    race.next = race.next + 1
    if attempt then
      race.running[attempt.number] = attempt
      race.count, attempt.since = race.count + 1, C.cc_now()
      return
    end
    race.outcome = outcome or race.outcome
  end
end

-- A loser that was sent may cost as much as the winner: it counts as an attempt, and what was reserved for it stays
-- reserved.
local function abort(exchange, attempt)
  attempts.cancel(exchange, attempt)
  local input = attempts.drop(exchange, attempt) and exchange.tokens_estimate or 0
  if not exchange.losers then exchange.losers = {} end
  table.insert(exchange.losers, { upstream = attempt.upstream, attempt = attempt, input_tokens = input,
    began = attempt.began, total_ms = C.cc_now() - attempt.began })
  if exchange.stream then latency.exceeded(attempt.upstream, C.cc_now() - attempt.since) end
end

local function abort_others(exchange, race)
  for _, attempt in each(race.running) do abort(exchange, attempt) end
  C.cc_exchange_timer(exchange.relay, exchange.handle, -1)
end

-- Reads the outcome of an attempt that has ended.
local function finish(exchange, race, attempt)
  race.running[attempt.number], race.count = nil, race.count - 1
  local outcome = attempts.finish(exchange, attempt)
  race.outcome = outcome
  if outcome.again then table.insert(race.list, race.next, attempt.upstream) end
  if not outcome.ok and not outcome.retryable then race.refusal = race.refusal or outcome end
  return outcome
end

-- Waits until one attempt is good or none is left. Each failure, and the timer, start the next.
local function run_until_good(exchange, race)
  while race.count > 0 do
    local kind, number = wait.await(exchange, wait.OUTCOME + wait.TIMER)
    local attempt = kind == wait.OUTCOME and race.running[number]
    if attempt and finish(exchange, race, attempt).ok then return end
    if (attempt or kind == wait.TIMER) and not race.refusal then start_next(exchange, race) end
  end
end

--- Tries the first upstream and, after after_ms or when it fails, the next in parallel; the first good outcome
--- wins and the other attempt is cancelled. One that is neither good nor retryable starts no further attempt,
--- and is the result if none is good. When all have failed, it continues as exchange:first.
---@param exchange ccrelay.Exchange
---@param list ccrelay.Upstream[]
---@param options { after_ms: number? }?
---@return ccrelay.Outcome? outcome the good one, else the one that tells most
function M.run(exchange, list, options)
  wait.check(exchange, 'race')
  local after, before = options and options.after_ms or 0, #exchange.outcomes
  local race = { list = { unpack(list) }, next = 1, running = {}, count = 0 }
  start_next(exchange, race)
  if after > 0 then C.cc_exchange_timer(exchange.relay, exchange.handle, after) else start_next(exchange, race) end
  run_until_good(exchange, race)
  abort_others(exchange, race)
  local outcome = race.outcome
  if not race.refusal then outcome = failover.try_rest(exchange, outcome) end
  if outcome and outcome.ok then return outcome end
  return race.refusal or most_telling.choose(exchange.outcomes, before + 1) or outcome
end

return M
