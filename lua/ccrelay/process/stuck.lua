-- SPDX-License-Identifier: Apache-2.0
-- Kills workers that do not return from Lua to their event loop. The processor time of the worker counts, so that a
-- worker that gets little of it on a busy machine is not killed.
local ffi = require 'ffi'
local C = require 'ccrelay.c'
local policy_quarantine = require 'ccrelay.process.policy_quarantine'

local M = {}

local SIGKILL = 9
local CPU_MS = 5000    -- processor time that one stay in Lua may take
local TOTAL_MS = 30000 -- and how long it may last

local facts = ffi.new 'struct cc_worker'

-- Returns how long the worker of a slot has been in Lua, if that is too long. It does so once for each stay, since a
-- killed worker may take a while to die.
local function overdue(known, slot)
  if C.cc_worker(slot, facts) ~= C.CC_OK or facts.pid <= 0 or facts.busy <= 0 then
    known[slot] = nil
    return nil
  end
  local used, stay = C.cc_worker_cpu(slot), known[slot]
  if not stay or stay.since ~= facts.busy or stay.pid ~= facts.pid then
    stay = { since = facts.busy, pid = facts.pid, used = used }
    known[slot] = stay
  end
  local lasts = C.cc_now() - facts.busy
  if stay.told or used - stay.used <= CPU_MS and lasts <= TOTAL_MS then return nil end
  stay.told = true
  return lasts
end

--- Kills the workers that have been in Lua for too long. Called every half second.
---@param master ccrelay.Master
function M.kill(master)
  for slot = 0, master.workers - 1 do
    local lasts = overdue(master.busy, slot)
    if lasts then
      master:say('error', ('worker %d has been busy in a script for %d ms and is killed'):format(slot, lasts))
      C.cc_kill(slot, SIGKILL)
      policy_quarantine.killed(master, lasts)
    end
  end
end

return M
