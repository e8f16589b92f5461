-- SPDX-License-Identifier: Apache-2.0
-- Decides the retry-after header of answers. It is never less than what the upstream has stated, and exactly what a
-- policy has set (RFC 9110, section 10.2.3: whole seconds).
local response_headers = require 'ccrelay.limits.response_headers'

local M = {}

-- For a 429 that does not say. Without the header clients back off from half a second on.
local UNSAID = 1

--- Seconds, for refusals that end as soon as another request does.
M.SOON = 2

--- The value of the header.
---@param seconds number
---@return string
function M.text(seconds)
  return string.format('%d', math.max(math.ceil(seconds), 0))
end

-- A limit of requests or tokens. A spending limit without retry-after is none: there its absence says
-- that waiting does not help.
local function is_rate_limit(outcome)
  return outcome.status == 429 and outcome.verdict ~= 'spent' and outcome.headers['x-should-retry'] ~= 'false'
end

local function of_upstream(outcome)
  local headers = outcome.headers
  local seconds = response_headers.seconds(headers['retry-after'], headers.date) or outcome.retry_after
  if not seconds and is_rate_limit(outcome) then seconds = outcome.reset_after or UNSAID end
  return seconds and M.text(seconds) or ''
end

--- What the client is told with the failure of an upstream.
---@param outcome ccrelay.Outcome
---@return table<string, string> headers by name; an empty value stands for a header that is not sent
function M.headers(outcome)
  if outcome.retry_after ~= outcome.told_retry_after then
    local set = outcome.retry_after
    return { ['retry-after'] = set and M.text(set) or '', ['retry-after-ms'] = '' }
  end
  return { ['retry-after'] = of_upstream(outcome), ['retry-after-ms'] = outcome.headers['retry-after-ms'] or '' }
end

return M
