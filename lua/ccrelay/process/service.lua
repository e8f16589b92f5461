-- SPDX-License-Identifier: Apache-2.0
-- Tells the service manager (systemd) how the relay is, by the protocol of sd_notify(3): ready when all workers serve,
-- reloading, stopping, a line of status, and that the master's loop runs. Without a manager nothing happens.
local C = require 'ccrelay.c'
local texts = require 'ccrelay.util.text'

local M = {}

---@class ccrelay.Service
---@field waiting table<integer, true> slots of workers that do not serve yet
---@field watched boolean the manager wants to hear that the loop runs
local Service = {}
Service.__index = Service

-- Whether the manager watches the process of this id (sd_watchdog_enabled(3)).
local function is_watched(env)
  local pid = env 'WATCHDOG_PID'
  return (tonumber(env 'WATCHDOG_USEC') or 0) > 0 and (pid == nil or tonumber(pid) == C.cc_getpid())
end

---@param workers integer whose slots are counted from 0
---@param env (fun(name: string): string?)? os.getenv unless given
---@return ccrelay.Service
function M.new(workers, env)
  local waiting = {}
  for slot = 0, workers - 1 do waiting[slot] = true end
  return setmetatable({ waiting = waiting, watched = is_watched(env or os.getenv) }, Service)
end

local function ready(master)
  local status = ('serving on %s with %s, generation %d'):format(table.concat(master.where, ', '),
    texts.count(master.workers, 'worker'), master.number)
  if master.last_fault then status = status .. '; the last reload was refused, see the log' end
  C.cc_notify('READY=1\nSTATUS=' .. status)
end

--- A worker serves: the relay is ready when all do.
---@param master ccrelay.Master
---@param slot integer
function Service:serving(master, slot)
  if not self.waiting[slot] then return end
  self.waiting[slot] = nil
  if not next(self.waiting) and not master.draining then ready(master) end
end

--- A reload begins. The moment is for units of Type=notify-reload.
function Service:reloading()
  if next(self.waiting) then return end
  C.cc_notify(('RELOADING=1\nMONOTONIC_USEC=%.0f\nSTATUS=reloading'):format(C.cc_now() * 1000))
end

--- A reload is over, done or refused.
---@param master ccrelay.Master
function Service:reloaded(master)
  if not next(self.waiting) and not master.draining then ready(master) end
end

--- The relay begins to drain.
function Service.stopping()
  C.cc_notify 'STOPPING=1\nSTATUS=finishing the requests under way'
end

--- The loop runs.
function Service:beat()
  if self.watched then C.cc_notify 'WATCHDOG=1' end
end

return M
