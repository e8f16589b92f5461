-- SPDX-License-Identifier: Apache-2.0
-- Chooses, among the failures of an exchange, the one that the client gets.
local M = {}

local PROVIDER_SPOKE, KEY_SUSPENDED, CANNOT_SERVE, NOT_TRIED = 3, 2, 1, 0

-- How much a failure tells the client.
local function rank_of(outcome)
  if outcome.not_started then return NOT_TRIED end
  local status, own = outcome.status, outcome.upstream.credential ~= 'client'
  if not status then return outcome.sent and PROVIDER_SPOKE or CANNOT_SERVE end
  if status == 404 or outcome.verdict == 'no_model' then return CANNOT_SERVE end
  if own and (status == 401 or status == 403) then return CANNOT_SERVE end
  local suspended = own and (outcome.verdict == 'spent' or outcome.verdict == 'refused')
  return suspended and KEY_SUSPENDED or PROVIDER_SPOKE
end

--- Whether a failure only says that the upstream could not serve the request: no connection, no such model, or a key of
--- the relay that is not accepted.
---@param outcome ccrelay.Outcome
---@return boolean
function M.cannot_serve(outcome)
  return rank_of(outcome) <= CANNOT_SERVE
end

--- Whether a key is tried before another one when both are healthy.
---@param a ccrelay.Key
---@param b ccrelay.Key
---@return boolean
function M.precedes(a, b)
  if a.priority ~= b.priority then return a.priority > b.priority end
  return a.provider.index < b.provider.index
end

-- Whether an outcome of equal rank replaces an earlier one: it does if it answered, and if it was tried later only
-- because health had moved it behind the other.
local function comes_before(outcome, other)
  local moved = outcome.upstream.is_spare and outcome.status
  return moved and M.precedes(outcome.upstream.key, other.upstream.key)
end

--- Returns the failure that tells the client most. What a provider said about the request or about its own state comes
--- before a failure that only says that the upstream could not serve. Of equal failures the first is chosen, which is
--- what the client would have got without a fallback.
---@param outcomes ccrelay.Outcome[]
---@param from integer? index to begin with
---@return ccrelay.Outcome?
function M.choose(outcomes, from)
  local best, rank
  for index = from or 1, #outcomes do
    local outcome = outcomes[index]
    local its = not outcome.ok and not outcome.again and rank_of(outcome)
    if its and (not best or its > rank or its == rank and comes_before(outcome, best)) then
      best, rank = outcome, its
    end
  end
  return best
end

return M
