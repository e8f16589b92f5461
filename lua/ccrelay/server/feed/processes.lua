-- SPDX-License-Identifier: Apache-2.0
-- What the processes of the relay use: memory, processor time, lag of the event loops.
local C = require 'ccrelay.c'
local each = require 'ccrelay.util.each'
local ffi = require 'ffi'
local histograms = require 'ccrelay.log.histograms'
local json = require 'ccrelay.util.json'

local M = {}

---@class ccrelay.Processes
---@field lags table<string, integer[][]> counts of the lag of each worker at the last readings, the oldest first
---@field used table<integer, { at: number, ms: number }> processor time at the last reading, by slot
local Processes = {}
Processes.__index = Processes

local PAGE_BYTES = 4096
local READINGS = 60 -- a minute

local facts = ffi.new 'struct cc_worker'

---@return ccrelay.Processes
function M.new()
  return setmetatable({ lags = {}, used = {} }, Processes)
end

-- Memory of a process by proc(5): what is resident, without what it shares with others, such as the ring of records.
local function memory_bytes(pid)
  local file = io.open(('/proc/%d/statm'):format(pid))
  if not file then return nil end
  local text = file:read '*l' or ''
  file:close()
  local resident, shared = string.match(text, '^%d+ (%d+) (%d+)')
  return resident and (resident - shared) * PAGE_BYTES
end

-- The share of a processor that a slot has used since the last reading.
function Processes:load(slot, now)
  local ms, before = C.cc_worker_cpu(slot), self.used[slot]
  self.used[slot] = { at = now, ms = ms }
  if not before or before.ms < 0 or ms < before.ms or now <= before.at then return nil end
  return math.floor((ms - before.ms) / (now - before.at) * 1000 + 0.5) / 1000
end

-- The bound in ms below which a share of the new times lie; nil without any. Of the last bucket it is that before.
local function percentile(counts, before, share)
  local all = counts[#counts] - before[#counts]
  if all <= 0 then return nil end
  for bucket = 1, #counts do
    if counts[bucket] - before[bucket] >= all * share then
      return C.cc_histogram_bound(math.min(bucket, #counts - 1) - 1)
    end
  end
end

-- Lag of the loops by slot, within the last minute, or since somebody looks.
function Processes:lag()
  local found = {}
  for _, one in ipairs(histograms.read().event_loop_lag or {}) do
    local readings = self.lags[one.value] or {}
    self.lags[one.value] = readings
    readings[#readings + 1] = one.counts
    if #readings > READINGS then table.remove(readings, 1) end
    local before = readings[1]
    found[one.value] = { p50 = percentile(one.counts, before, 0.5), p99 = percentile(one.counts, before, 0.99) }
  end
  return found
end

function Processes:worker(slot, now, lag)
  if C.cc_worker(slot, facts) ~= C.CC_OK or facts.pid <= 0 then return nil end
  local pid = facts.pid
  return {
    slot = slot, pid = pid, open = facts.exchanges, uptime_ms = math.floor(C.cc_time() - facts.started),
    memory_bytes = memory_bytes(pid), cpu = self:load(slot, now), lag_ms = lag,
  }
end

-- The helpers that run, with what keeps them from their work.
local function helpers(master)
  local list = json.array {}
  for _, one in ipairs(master.helpers:describe()) do
    if one.pid > 0 then
      list[#list + 1] = { name = one.name, pid = one.pid, uptime_ms = one.uptime_ms,
        memory_bytes = memory_bytes(one.pid), fault = one.state and one.state.fault }
    end
  end
  return list
end

--- Returns the state of the workers, and the memory of the other processes.
---@param master ccrelay.Master
---@return { workers: table[], helpers: table[], master: table }
function Processes:describe(master)
  local lags, now, workers = self:lag(), C.cc_now(), json.array {}
  for slot = 0, master.workers - 1 do
    workers[#workers + 1] = self:worker(slot, now, lags[tostring(slot)])
  end
  local pid = C.cc_getpid()
  return { workers = workers, helpers = helpers(master), master = { pid = pid, memory_bytes = memory_bytes(pid) } }
end

--- Forgets the last readings, when nobody has watched for a while.
function Processes:forget()
  for name in each(self.lags) do self.lags[name] = nil end
  for slot in each(self.used) do self.used[slot] = nil end
end

return M
