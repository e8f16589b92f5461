-- SPDX-License-Identifier: Apache-2.0
-- Reports the state of the relay to the service manager (systemd) by the protocol of sd_notify(3): ready when all
-- workers serve, reloading, stopping, a status line, and the watchdog. Without a service manager it does nothing.
local C = require 'ccrelay.c'
local texts = require 'ccrelay.util.text'

local M = {}

---@class ccrelay.Service
---@field waiting table<integer, true> slots of workers that do not serve yet
---@field watched boolean whether the manager expects watchdog messages
local Service = {}
Service.__index = Service

-- Whether the manager watches the process of this id (sd_watchdog_enabled(3)).
local function is_watched(env)
  local pid = env 'WATCHDOG_PID'
  return (tonumber(env 'WATCHDOG_USEC') or 0) > 0 and (pid == nil or tonumber(pid) == C.cc_getpid())
end

---@param workers integer number of workers; their slots are numbered from 0
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

--- Records that a worker serves, and reports that the relay is ready when all do.
---@param master ccrelay.Master
---@param slot integer
function Service:serving(master, slot)
  if not self.waiting[slot] then return end
  self.waiting[slot] = nil
  if not next(self.waiting) and not master.draining then ready(master) end
end

--- Reports that a reload begins. Units of Type=notify-reload need the time.
function Service:reloading()
  if next(self.waiting) then return end
  C.cc_notify(('RELOADING=1\nMONOTONIC_USEC=%.0f\nSTATUS=reloading'):format(C.cc_now() * 1000))
end

--- Reports that a reload has ended, with or without success.
---@param master ccrelay.Master
function Service:reloaded(master)
  if not next(self.waiting) and not master.draining then ready(master) end
end

--- Reports that the relay begins to drain.
function Service.stopping()
  C.cc_notify 'STOPPING=1\nSTATUS=finishing the requests under way'
end

--- Reports that the master's loop runs.
function Service:beat()
  if self.watched then C.cc_notify 'WATCHDOG=1' end
end

return M
