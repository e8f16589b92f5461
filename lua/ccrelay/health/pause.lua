-- SPDX-License-Identifier: Apache-2.0
-- The rules that pauses for overload (overload.lua) and for used-up limits (cooldown.lua) share.
local M = {}

--- The longest pause that the relay chooses, in milliseconds.
M.LONGEST_MS = 30000

--- The rules of the breakers for overload and for limits.
---@type ccrelay.BreakerRules
M.RULES = { threshold = 3, first_ms = 2000, longest_ms = M.LONGEST_MS, probes = 1 }

--- Tells whether a provider has stated a time. A time of 0 allows another attempt at once: then it is a failure like
--- one without a time.
---@param seconds number?
---@return boolean
function M.is_time(seconds) return seconds ~= nil and seconds > 0 end

return M
