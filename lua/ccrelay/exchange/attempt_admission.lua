-- SPDX-License-Identifier: Apache-2.0
-- Admits attempts: asks circuit breakers and limits before an attempt begins, and commits or refunds its reservation
-- afterwards.
local C = require 'ccrelay.c'
local Outcome = require 'ccrelay.health.outcome'
local learn = require 'ccrelay.health.learn'
local reservation = require 'ccrelay.limits.reservation'
local selection = require 'ccrelay.routing.selection'

local M = {}

local function refusal(exchange, attempt)
  local key, now = attempt.key, C.cc_now()
  local ready = learn.take_probes(exchange, attempt, not attempt.more)
  if ready then return 'overloaded', ready - now end
  if not key.rates or attempt.upstream.credential ~= 'own' then return nil end
  attempt.reserved = reservation.reserve(exchange, key, attempt.upstream.model, now, not attempt.more)
  if not attempt.reserved then
    learn.withdraw(attempt)
    return 'limited', math.max(reservation.wait(exchange, key, attempt.upstream.model, now), 1)
  end
  return nil
end

--- Passes the breakers and reserves limits for an attempt. If they refuse, notes when the upstream may be tried again.
---@param exchange ccrelay.Exchange
---@param attempt ccrelay.Attempt
---@return ccrelay.Outcome? outcome of an attempt that is not started; nil when it is admitted
function M.admit(exchange, attempt)
  local reason, pause = refusal(exchange, attempt)
  if not reason then return nil end
  local ready = C.cc_now() + pause
  if reason == 'limited' then
    selection.refuse(exchange, reason, ready, attempt.key.provider, nil, nil, attempt.key, attempt.upstream.model)
  else
    selection.leave_out(exchange, attempt.upstream, 'half_open', ready)
  end
  return Outcome.not_started(exchange, attempt, reason, pause)
end

--- Refunds an attempt that never reached the upstream: nothing was used and nothing learned.
---@param attempt ccrelay.Attempt
function M.give_back(attempt)
  learn.withdraw(attempt)
  if attempt.reserved then reservation.refund(attempt.key, attempt.reserved) end
  attempt.reserved = nil
end

--- Commits the usage that an outcome reports, in place of what was reserved.
---@param attempt ccrelay.Attempt
---@param outcome ccrelay.Outcome
function M.commit(attempt, outcome)
  reservation.commit(attempt.reserved, outcome.used_input, outcome.used_output)
  attempt.reserved = nil
end

--- Commits the estimated usage of an attempt whose real usage will never be known.
---@param exchange ccrelay.Exchange
---@param attempt ccrelay.Attempt
function M.commit_probable(exchange, attempt)
  reservation.commit_probable(exchange, attempt)
  attempt.reserved = nil
end

return M
