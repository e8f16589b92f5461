-- SPDX-License-Identifier: Apache-2.0
-- Tries upstreams one after the other until one serves the exchange or none is left. It guarantees that a provider that
-- failed is not tried with another key.
local Upstream = require 'ccrelay.routing.candidates'
local attempt = require 'ccrelay.exchange.attempt'
local learn = require 'ccrelay.health.learn'
local most_telling = require 'ccrelay.health.most_telling'
local selection = require 'ccrelay.routing.selection'
local wait = require 'ccrelay.sched.wait'

local M = {}

--- Whether a list has, after this index, an upstream of another provider that would be tried next.
---@param exchange ccrelay.Exchange
---@param list ccrelay.Upstream[]
---@param index integer
---@return boolean
function M.has_more(exchange, list, index)
  local provider = list[index].key.provider
  for other = index + 1, #list do
    if list[other].key.provider ~= provider and not learn.is_given_up(exchange, list[other]) then return true end
  end
  return false
end

local function try_each(exchange, list)
  local outcome
  for index, upstream in ipairs(list) do
    if not learn.is_given_up(exchange, upstream) and not learn.has_just_failed(exchange, upstream) then
      outcome = attempt.run(exchange, upstream, M.has_more(exchange, list, index))
      if not outcome.retryable or attempt.at_limit(exchange) then break end
    end
  end
  return outcome
end

local function goes_on(exchange, outcome)
  return outcome and outcome.retryable and not attempt.at_limit(exchange)
end

-- Tries the candidates that health left out.
local function try_spares(exchange, outcome)
  while goes_on(exchange, outcome) do
    local spare = selection.next_spare(exchange)
    if not spare then break end
    outcome = attempt.run(exchange, spare, false)
  end
  return outcome
end

-- Tries an upstream again that timed out early because others were left to try, now without that timeout.
local function try_again(exchange)
  local outcome = attempt.take_cut_short(exchange)
  return outcome and attempt.run(exchange, outcome.upstream, false)
end

--- Tries what is left when all of a list have failed: the best candidate that health left out and the best suspended
--- one, those that a limit kept out if it has room within routing.queue_ms, and one that timed out early.
---@param exchange ccrelay.Exchange
---@param outcome ccrelay.Outcome? the last one
---@return ccrelay.Outcome? outcome the last one
function M.try_rest(exchange, outcome)
  outcome = try_spares(exchange, outcome)
  while goes_on(exchange, outcome) do
    local list = Upstream.later(exchange)
    if #list == 0 then break end
    outcome = try_each(exchange, list) or outcome
  end
  return goes_on(exchange, outcome) and try_again(exchange) or outcome
end

--- Tries upstreams in order until an outcome is not retryable; a provider that failed or is overloaded is not
--- tried with another key. When all have failed, it tries the best candidate that health excluded, waits for
--- a limit that has room again within routing.queue_ms, and retries an attempt that was abandoned early.
---@param exchange ccrelay.Exchange
---@param list ccrelay.Upstream[]
---@return ccrelay.Outcome? outcome the good one, else the one that tells most; nil for an empty list
function M.first(exchange, list)
  wait.check(exchange, 'first')
  local before = #exchange.outcomes
  local outcome = M.try_rest(exchange, try_each(exchange, list))
  if not outcome or outcome.ok then return outcome or #list > 0 and attempt.last_failure(exchange) or nil end
  return most_telling.choose(exchange.outcomes, before + 1) or outcome
end

return M
