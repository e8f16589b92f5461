-- SPDX-License-Identifier: Apache-2.0
-- A circuit breaker, shared by all processes. It counts consecutive failures, opens for a time that may double while
-- failures continue, and then lets one probe through at a time until it closes.
--
-- Its state is one number in a cell, so that one compare-and-swap changes it:
--   0 ... HALF_OPEN - 1            closed: times * FAILURES + failures in a row
--   below 0                        open: -(the moment it ends * TIMES + times)
--   HALF_OPEN + probe * 1000 + n   half open: n = times * 100 + successful probes; probe is the one under way:
--                                  the second in which it began * SLOTS + the slot of its worker; 0: none
-- times is how often in a row it has opened. After it closes, the next failure opens it again at once, and the next
-- success sets the number to 0.
local C = require 'ccrelay.c'

local M = {}

local HALF_OPEN = 1000000
local FAILURES, TIMES, SLOTS = 10000, 16, 256
local LEASE_MS = 120000 -- after which a probe without a result counts as lost
local SWAPS = 16        -- tries to change a cell that other processes change at the same time

---@class ccrelay.BreakerRules
---@field threshold integer failures in a row that open it
---@field first_ms number how long it is open the first time; each time in a row doubles that
---@field longest_ms number upper bound of that
---@field probes integer successful probes that close it

---@alias ccrelay.BreakerState 'closed'|'open'|'half_open'

local own_slot = 0

local function open_value(until_ms, times)
  return -(math.max(math.floor(until_ms), 1) * TIMES + times)
end

-- The parts of a negative number: the end, and times.
local function open_parts(value)
  local times = -value % TIMES
  return (-value - times) / TIMES, times
end

-- The parts of a number from HALF_OPEN on: probe, times, successful probes.
local function half_open_parts(value)
  local rest = value - HALF_OPEN
  local count = rest % 1000
  local good = count % 100
  return (rest - count) / 1000, (count - good) / 100, good
end

local function half_open_value(probe, times, good)
  return HALF_OPEN + probe * 1000 + times * 100 + good
end

local function is_running(probe, now)
  return probe > 0 and now < math.floor(probe / SLOTS) * 1000 + LEASE_MS
end

--- Whether the breaker of a cell is closed.
---@param cell integer
---@return boolean
function M.is_closed(cell)
  local value = C.cc_cell_get(cell)
  return value >= 0 and value < HALF_OPEN
end

--- Returns the state of a breaker and, while it lets nothing through, the moment (cc_now) at which it may again.
---@param cell integer
---@param now number
---@return ccrelay.BreakerState state
---@return number? ready
function M.state(cell, now)
  local value = C.cc_cell_get(cell)
  if value < 0 then
    local ends = open_parts(value)
    if now < ends then return 'open', ends end
    return 'half_open'
  end
  if value < HALF_OPEN then return 'closed' end
  if is_running(half_open_parts(value), now) then return 'half_open', now + 1000 end
  return 'half_open'
end

-- How often in a row a breaker that is not closed has opened, and its successful probes since then.
local function counts_of(value)
  if value >= HALF_OPEN then return select(2, half_open_parts(value)) end
  local _, times = open_parts(value)
  return times, 0
end

local function probe_now(value, now)
  local times, good = counts_of(value)
  return half_open_value(math.max(math.floor(now / 1000), 1) * SLOTS + own_slot, times, good)
end

--- Asks to let an attempt through. A forced attempt always passes; its probe is then the breaker's number at that time.
---@param cell integer
---@param now number
---@param force boolean
---@return boolean admitted
---@return number|false probe_or_ready the probe that the attempt is (false: none), or when to ask again
function M.admit(cell, now, force)
  for _ = 1, SWAPS do
    local value = C.cc_cell_get(cell)
    if value >= 0 and value < HALF_OPEN then return true, false end
    local state, ready = M.state(cell, now)
    if state == 'open' or ready then
      if force then return true, value end
      return false, ready
    end
    local probe = probe_now(value, now)
    if probe ~= value and C.cc_cell_swap(cell, value, probe) then return true, probe end
  end
  return force, not force and now + 1000
end

--- Withdraws a probe that showed nothing, so that another may take its place.
---@param cell integer
---@param probe number
function M.withdraw(cell, probe)
  if probe < HALF_OPEN then return end
  local _, times, good = half_open_parts(probe)
  C.cc_cell_swap(cell, probe, half_open_value(0, times, good))
end

--- Records a success. That of a probe counts towards closing; any other resets the count of consecutive failures.
---@param cell integer
---@param probe number|false
---@param rules ccrelay.BreakerRules
---@return boolean closed whether this closed the breaker
function M.success(cell, probe, rules)
  local value = C.cc_cell_get(cell)
  if value >= 0 and value < HALF_OPEN then
    if value > 0 and not probe then C.cc_cell_swap(cell, value, 0) end
  elseif value == probe then
    local times, good = counts_of(value)
    good = value < 0 and rules.probes or good + 1
    local closed = times * FAILURES + math.min(rules.threshold, FAILURES) - 1
    local enough = good >= math.min(rules.probes, 99)
    return C.cc_cell_swap(cell, value, enough and closed or half_open_value(0, times, good)) and enough
  end
  return false
end

local function opened(times, rules, now)
  local pause = math.min(rules.first_ms * 2 ^ times, rules.longest_ms)
  return open_value(now + pause, math.min(times + 1, TIMES - 1))
end

-- The number after one more failure; nil if the failure changes nothing.
local function after_failure(value, probe, rules, now)
  if value < 0 then return nil end
  if value >= HALF_OPEN then
    if not probe then return nil end
    local _, times = half_open_parts(value)
    return opened(times, rules, now)
  end
  local failures = value % FAILURES
  local times = (value - failures) / FAILURES
  if failures + 1 >= rules.threshold then return opened(times, rules, now) end
  return math.min(value + 1, times * FAILURES + FAILURES - 1)
end

--- Records a failure.
---@param cell integer
---@param probe any whether it is or was a probe
---@param rules ccrelay.BreakerRules
---@param now number
---@return boolean opened whether this opened the breaker
function M.failure(cell, probe, rules, now)
  for _ = 1, SWAPS do
    local value = C.cc_cell_get(cell)
    local after = after_failure(value, probe, rules, now)
    if not after then return false end
    if C.cc_cell_swap(cell, value, after) then return after < 0 end
  end
  return false
end

--- Opens the breaker until a moment.
---@param cell integer
---@param until_ms number moment (cc_now)
---@param exactly boolean? also shortens the time of a breaker that is open for longer
---@return boolean changed false if it was open for as long already
function M.open_until(cell, until_ms, exactly)
  for _ = 1, SWAPS do
    local value = C.cc_cell_get(cell)
    if not exactly and value < 0 and open_parts(value) >= until_ms then return false end
    if C.cc_cell_swap(cell, value, open_value(until_ms, 1)) then return true end
  end
  return false
end

--- Lets a probe through at once if the breaker is open.
---@param cell integer
---@param now number
---@return boolean
function M.end_wait(cell, now)
  local value = C.cc_cell_get(cell)
  if value >= 0 then return false end
  return C.cc_cell_swap(cell, value, open_value(now, select(2, open_parts(value))))
end

--- Sets the slot of this worker, when it starts.
---@param slot integer
function M.attach(slot)
  own_slot = slot
end

--- Ends the probe of a cell if it belongs to the slot of this process.
---@param cell integer
function M.end_own_probe(cell)
  local value = C.cc_cell_get(cell)
  local probe = value >= HALF_OPEN and half_open_parts(value) or 0
  if probe > 0 and probe % SLOTS == own_slot then M.withdraw(cell, value) end
end

return M
