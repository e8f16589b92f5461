-- SPDX-License-Identifier: Apache-2.0
-- Records errors of scripts: in the log with the traceback, in the counters, and those of a policy for the quarantine
-- of policies. It guarantees that the memory a failed script leaves behind is freed before the next one runs.
local access = require 'ccrelay.log.access'
local call = require 'ccrelay.script.call'
local cell = require 'ccrelay.shared.cell'

local M = {}

local MUCH_KB = 32 * 1024
local LONGEST_REASON, LONGEST_MESSAGE = 300, 16 * 1024

-- Whether there were errors since the last M.clean_up, and which of them were raised by a policy.
M.any = false
M.of_policies = {} ---@type { generation: ccrelay.Generation, why: string }[]

-- The place in the policy where an exchange was, from the traceback.
local function place_of(exchange, traceback)
  local strategy = exchange.generation.strategy
  for place in string.gmatch(traceback, '%f[%S]%S+%.lua:%d+') do
    if string.match(place, '([^/]*)%.lua:%d+$') == strategy then return place end
  end
  return strategy
end

local function note_policy(exchange, message, traceback)
  if exchange.endpoint ~= 'messages' or call.was_adapter() then return end
  if not string.find(message, '^[^\n]-:%d+: ') then message = place_of(exchange, traceback) .. ': ' .. message end
  local generation = exchange.generation
  local reason = generation.logger.clean(string.sub(message, 1, LONGEST_MESSAGE))
  table.insert(M.of_policies, { generation = generation, why = string.sub(reason, 1, LONGEST_REASON) })
end

--- Records an error that a script raised while it served an exchange.
---@param exchange ccrelay.Exchange
---@param value any the error
---@param traceback string
function M.note(exchange, value, traceback)
  local message = type(value) == 'string' and value or 'an error that is a ' .. type(value)
  if not exchange.ended then access.note_failure(exchange, 'script') end
  cell.add('count:script_errors', 1)
  M.any = true
  note_policy(exchange, message, traceback)
  exchange.generation.logger:say('error', 'script error: ' .. message,
    { 'id', exchange.id, 'traceback', traceback }, 4)
end

--- Forgets the errors and collects the garbage of the scripts. Must be called after their coroutines have ended.
function M.clean_up()
  M.any, M.of_policies = false, {}
  if collectgarbage 'count' > MUCH_KB then collectgarbage() end
end

return M
