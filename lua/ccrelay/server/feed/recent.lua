-- SPDX-License-Identifier: Apache-2.0
-- Sums up the records of the last minutes by provider and key: attempts, failures, time to the first event. It also
-- keeps the latest exchanges.
local each = require 'ccrelay.util.each'

local M = {}

---@class ccrelay.RecentSlot what ended within SLOT_MS
---@field upstreams table<string, { attempts: integer, failures: integer }> by name of a provider or id of a key
---@field first table<string, number[]> ms to the first event, by provider
---@field exchanges integer

---@class ccrelay.Recent
---@field slots table<integer, ccrelay.RecentSlot>
---@field latest ccrelay.Record[] the newest last
---@field count integer of exchanges that were added
local Recent = {}
Recent.__index = Recent

local SLOT_MS, SLOTS = 5000, 60 -- five minutes
local MOST_TIMES = 32           -- times of each provider in a slot
local MOST_LATEST = 50

M.WINDOW_MS = SLOT_MS * SLOTS

---@return ccrelay.Recent
function M.new()
  return setmetatable({ slots = {}, latest = {}, count = 0 }, Recent)
end

local function slot_at(self, at, now)
  local place = math.floor(at / SLOT_MS)
  if place <= math.floor(now / SLOT_MS) - SLOTS then return nil end
  local slot = self.slots[place]
  if not slot then
    slot = { upstreams = {}, first = {}, exchanges = 0 }
    self.slots[place] = slot
  end
  return slot
end

local function add_attempt(slot, name, failed)
  local sums = slot.upstreams[name]
  if not sums then
    sums = { attempts = 0, failures = 0 }
    slot.upstreams[name] = sums
  end
  sums.attempts = sums.attempts + 1
  if failed then sums.failures = sums.failures + 1 end
end

-- A key without a secret of its own has the name of its provider as its id.
local function add_attempts(slot, record)
  for _, attempt in ipairs(record.attempts) do
    local provider, key = attempt.provider, attempt.key
    local failed = not attempt.raced and (attempt.error ~= nil or (attempt.status or 0) >= 400)
    if provider then add_attempt(slot, provider, failed) end
    if key and key ~= provider then add_attempt(slot, key, failed) end
  end
end

-- An answer that began early, with pings, has its first event when its attempt began to answer.
local function first_event(record)
  local last, first = record.attempts[#record.attempts], record.first_byte_ms
  if not (first and last and last.first_byte_ms) then return first end
  return math.max(first, last.at_ms + last.first_byte_ms)
end

local function add_time(slot, record)
  local first = record.stream and record.provider and record.status == 200 and first_event(record)
  if not first then return end
  local times = slot.first[record.provider] or {}
  slot.first[record.provider] = times
  local place = #times < MOST_TIMES and #times + 1 or math.random(MOST_TIMES)
  times[place] = first
end

--- Adds an exchange that has ended.
---@param record ccrelay.Record
---@param now number ms since 1970
function Recent:add(record, now)
  if record.endpoint or (record.status or 500) >= 400 then
    self.count = self.count + 1
    self.latest[#self.latest + 1] = record
    if #self.latest > 2 * MOST_LATEST then self.latest = self:last(MOST_LATEST) end
  end
  local slot = slot_at(self, record.at + record.total_ms, now)
  if not slot then return end
  slot.exchanges = slot.exchanges + 1
  add_attempts(slot, record)
  add_time(slot, record)
end

--- Forgets what is too old.
---@param now number ms since 1970
function Recent:forget(now)
  local first = math.floor(now / SLOT_MS) - SLOTS
  for place in each(self.slots) do
    if place <= first then self.slots[place] = nil end
  end
end

--- Returns the latest exchanges, the newest last.
---@param most integer
---@return ccrelay.Record[]
function Recent:last(most)
  return { unpack(self.latest, math.max(#self.latest - most, 0) + 1) }
end

local function percentile(sorted, share)
  return sorted[math.max(math.ceil(#sorted * share), 1)]
end

--- Returns attempts and failures of a provider or key within the window.
---@param name string of the provider, or id of the key
---@return { attempts: integer, failures: integer }
function Recent:attempts(name)
  local sums = { attempts = 0, failures = 0 }
  for _, slot in each(self.slots) do
    local one = slot.upstreams[name]
    if one then sums.attempts, sums.failures = sums.attempts + one.attempts, sums.failures + one.failures end
  end
  return sums
end

--- Returns the time to the first event of a provider within the window.
---@param provider string
---@return { p50: number, p95: number }? milliseconds; nil without a stream
function Recent:first_event(provider)
  local times = {}
  for _, slot in each(self.slots) do
    for _, time in ipairs(slot.first[provider] or {}) do times[#times + 1] = time end
  end
  if #times == 0 then return nil end
  table.sort(times)
  return { p50 = percentile(times, 0.5), p95 = percentile(times, 0.95) }
end

--- Returns how many exchanges a second have ended lately.
---@param now number ms since 1970
---@return number
function Recent:rate(now)
  local place, sum = math.floor(now / SLOT_MS), 0
  for back = 0, 2 do
    local slot = self.slots[place - back]
    if slot then sum = sum + slot.exchanges end
  end
  return sum / ((2 * SLOT_MS + now % SLOT_MS) / 1000)
end

return M
