-- SPDX-License-Identifier: Apache-2.0
-- Decides the retry-after header of answers. It is never less than what the upstream has stated, and exactly what a
-- policy has set (RFC 9110, section 10.2.3: whole seconds).
local response_headers = require 'ccrelay.limits.response_headers'

local M = {}

-- Seconds, for a 429 that states no time. Without the header clients would begin to retry after half a second.
local UNSTATED = 1

--- Seconds, for refusals that end as soon as another request ends.
M.SOON = 2

--- Returns the value of the header.
---@param seconds number
---@return string
function M.text(seconds)
  return string.format('%d', math.max(math.ceil(seconds), 0))
end

-- Whether a limit of requests or tokens was hit. A spending limit without retry-after does not count: there the missing
-- header says that waiting does not help.
local function is_rate_limit(outcome)
  return outcome.status == 429 and outcome.verdict ~= 'spent' and outcome.headers['x-should-retry'] ~= 'false'
end

local function of_upstream(outcome)
  local headers = outcome.headers
  local seconds = response_headers.seconds(headers['retry-after'], headers.date) or outcome.retry_after
  if not seconds and is_rate_limit(outcome) then seconds = outcome.reset_after or UNSTATED end
  return seconds and M.text(seconds) or ''
end

--- Returns the retry headers that the client gets with the failure of an upstream.
---@param outcome ccrelay.Outcome
---@return table<string, string> headers by name; an empty value: the header is not sent
function M.headers(outcome)
  if outcome.retry_after ~= outcome.told_retry_after then
    local set = outcome.retry_after
    return { ['retry-after'] = set and M.text(set) or '', ['retry-after-ms'] = '' }
  end
  return { ['retry-after'] = of_upstream(outcome), ['retry-after-ms'] = outcome.headers['retry-after-ms'] or '' }
end

return M
