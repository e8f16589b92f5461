-- SPDX-License-Identifier: Apache-2.0
-- The breakers for which an attempt is the probe. A half-open breaker lets one attempt through at a time.
local breaker = require 'ccrelay.health.breaker'

---@alias ccrelay.Probes { cell: integer, probe: number, rules: ccrelay.BreakerRules }[]

local M = {}

--- Asks a breaker to let an attempt through, and adds the attempt to the list if it is a probe.
---@param list ccrelay.Probes
---@param number integer the breaker's cell
---@param rules ccrelay.BreakerRules
---@param now number
---@param force boolean let it through in any case
---@return number? ready moment to ask again; nil: the attempt is let through
function M.ask(list, number, rules, now, force)
  if breaker.is_closed(number) then return nil end
  local admitted, probe = breaker.admit(number, now, force)
  if not admitted then return probe end
  if probe then list[#list + 1] = { cell = number, probe = probe, rules = rules } end
end

--- Takes the probe of a breaker out of the list.
---@param probes ccrelay.Probes
---@param number integer the breaker's cell
---@return number|false probe false: the attempt is no probe of it
function M.take(probes, number)
  for index, one in ipairs(probes) do
    if one.cell == number then return table.remove(probes, index).probe end
  end
  return false
end

--- Withdraws the probes of an attempt that showed nothing, so that others may take their place.
---@param probes ccrelay.Probes
function M.withdraw(probes)
  for _, one in ipairs(probes) do breaker.withdraw(one.cell, one.probe) end
end

return M
