-- SPDX-License-Identifier: Apache-2.0
-- What is known about providers and keys, shared by all processes: which key is put aside until
-- when, which provider cools down, and the circuit breaker of each.
local C = require 'ccrelay.c'
local ffi = require 'ffi'
local quota = require 'ccrelay.quota'

local M = {}

local MINUTE, HOUR = 60000, 3600000
local OVERLOAD_MS, LONGEST_OVERLOAD_MS = 3000, 30000
local EXHAUSTED_MS, LONGEST_EXHAUSTED_MS = 10000, HOUR
local REFUSED_MS = 10 * MINUTE
local SPENT_MS = HOUR

-- A breaker is one number, so that one swap moves it:
--   0 ... PROBING-1       closed, so many failures in a row
--   below 0               open until that moment, negated
--   PROBING + t*1000 + n  half open: n probes went well; t tells of the one under way, 0: none
-- t is the second it began, times SLOTS, plus the slot of its worker.
local PROBING = 1000000
local SLOTS = 256
local LEASE_MS = 2 * MINUTE

local REFUSED = 'refused'
local UNREACHABLE = 'unreachable' -- the text of a breaker that connections opened
local reason = ffi.new 'char[192]'

local function text_of(cell)
  return ffi.string(reason, C.cc_cell_text(cell, reason, 192))
end

local own_slot = 0

local function probe_of(value)
  local rest = value - PROBING
  return math.floor(rest / 1000), rest % 1000
end

local function holder_now(now)
  return math.max(math.floor(now / 1000), 1) * SLOTS + own_slot
end

local function is_leased(holder, now)
  return holder > 0 and now < math.floor(holder / SLOTS) * 1000 + LEASE_MS
end

---@alias ccrelay.BreakerState 'closed'|'open'|'half_open'

--- The state of a provider's breaker and, while it lets nothing through, the moment it may.
---@param provider ccrelay.Provider
---@param now number
---@return ccrelay.BreakerState state
---@return number? ready
function M.breaker(provider, now)
  local value = C.cc_cell_get(provider.breaker)
  if value < 0 then
    if now < -value then return 'open', -value end
    return 'half_open'
  end
  if value < PROBING then return 'closed' end
  local holder = probe_of(value)
  if is_leased(holder, now) then return 'half_open', now + 1000 end
  return 'half_open'
end

--- Asks the breaker to let an attempt through: whether it does, and the probe that the attempt is, or
--- when to ask again.
---@param provider ccrelay.Provider
---@param now number
---@return boolean admitted
---@return number|false probe_or_ready
function M.admit(provider, now)
  for _ = 1, 16 do
    local value = C.cc_cell_get(provider.breaker)
    if value >= 0 and value < PROBING then return true, false end
    local state, ready = M.breaker(provider, now)
    if state == 'open' or ready then return false, ready end
    local _, well = probe_of(value < 0 and PROBING or value)
    local probe = PROBING + holder_now(now) * 1000 + well
    if probe ~= value and C.cc_cell_swap(provider.breaker, value, probe) then return true, probe end
  end
  return false, now + 1000
end

--- A probe came to nothing either way.
---@param provider ccrelay.Provider
---@param probe number
function M.withdraw(provider, probe)
  local _, well = probe_of(probe)
  C.cc_cell_swap(provider.breaker, probe, PROBING + well)
end

--- A worker begins in the slot of one that may have died: its probes are nobody's.
---@param slot integer
---@param generation ccrelay.Generation
function M.attach(slot, generation)
  own_slot = slot
  generation:attach()
  for _, provider in ipairs(generation.providers) do
    local value = C.cc_cell_get(provider.breaker)
    local holder = value >= PROBING and probe_of(value) or 0
    if holder > 0 and holder % SLOTS == slot then M.withdraw(provider, value) end
  end
end

--- An attempt went well.
---@param provider ccrelay.Provider
---@param probe number|false
---@param rules table health.circuit_breaker
function M.success(provider, probe, rules)
  local value = C.cc_cell_get(provider.breaker)
  if value == 0 then return end
  if value > 0 and value < PROBING then
    C.cc_cell_swap(provider.breaker, value, 0)
  elseif probe and value == probe then
    local _, well = probe_of(value)
    local enough = well + 1 >= math.min(rules.half_open_probes, 999)
    C.cc_cell_swap(provider.breaker, value, enough and 0 or PROBING + well + 1)
  end
end

--- An attempt failed by the provider's fault. True when this opened the circuit.
---@param provider ccrelay.Provider
---@param probe number|false what it is or was
---@param rules table health.circuit_breaker
---@param now number
---@param unreachable boolean? it was not even connected to
---@return boolean opened
function M.failure(provider, probe, rules, now, unreachable)
  for _ = 1, 16 do
    local value = C.cc_cell_get(provider.breaker)
    local half_open = value >= PROBING
    if value < 0 or half_open and not probe then return false end
    local open = half_open or value + 1 >= rules.failure_threshold
    local after = open and -math.floor(now + rules.open_duration_ms) or math.min(value + 1, PROBING - 1)
    if open and after == 0 then after = -1 end
    if C.cc_cell_swap(provider.breaker, value, after) then
      local why = open and unreachable and UNREACHABLE or ''
      if open then C.cc_cell_write(provider.breaker, why, #why) end
      return open
    end
  end
  return false
end

--- The breaker's value while it is open because the provider could not be connected to, else nil.
---@param provider ccrelay.Provider
---@param now number
---@return number?
function M.unreachable(provider, now)
  local value = C.cc_cell_get(provider.breaker)
  if value >= 0 or now >= -value then return nil end
  return text_of(provider.breaker) == UNREACHABLE and value or nil
end

--- It can be connected to: an exchange may try it now, if the breaker still has this value.
---@param provider ccrelay.Provider
---@param value number
---@param now number
---@return boolean
function M.reachable(provider, value, now)
  return C.cc_cell_swap(provider.breaker, value, -math.max(math.floor(now), 1))
end

local function extend(cell, until_ms, why)
  for _ = 1, 16 do
    local known = C.cc_cell_get(cell)
    if known >= until_ms then return end
    if C.cc_cell_swap(cell, known, math.floor(until_ms)) then return C.cc_cell_write(cell, why, #why) end
  end
end

--- Why a key is put aside: 'refused' or 'budget'.
---@param slot ccrelay.Slot
---@return string
function M.reason(slot)
  return text_of(slot.health)
end

--- The provider said it is overloaded.
---@param provider ccrelay.Provider
---@param retry_after number? seconds
---@param now number
function M.overloaded(provider, retry_after, now)
  local pause = retry_after and math.max(retry_after * 1000, 1000) or OVERLOAD_MS
  extend(provider.cooling, now + math.min(pause, LONGEST_OVERLOAD_MS), 'overloaded')
end

--- The key has used up what it may of a model's class.
---@param slot ccrelay.Slot
---@param model string?
---@param retry_after number? seconds
---@param now number
function M.exhausted(slot, model, retry_after, now)
  local pause = retry_after and math.max(retry_after * 1000, 1000) or EXHAUSTED_MS
  local one, till = quota.of(slot, model), now + math.min(pause, LONGEST_EXHAUSTED_MS)
  extend(one.rest, till, '')
  extend(slot.rest, till, one.class)
end

--- The provider does not take the key.
---@param slot ccrelay.Slot
---@param now number
function M.refused(slot, now)
  extend(slot.health, now + REFUSED_MS, REFUSED)
end

--- The key's budget is spent.
---@param slot ccrelay.Slot
---@param now number
function M.spent(slot, now)
  extend(slot.health, now + SPENT_MS, 'budget')
end

local function pardon(slot)
  if M.reason(slot) == REFUSED then C.cc_cell_set(slot.health, 0) end
end

--- Forgets which keys were refused: a reload may have cured what was wrong with them. A limit or a
--- budget that is used up stays so.
---@param generation ccrelay.Generation
function M.forget(generation)
  for _, provider in ipairs(generation.providers) do
    pardon(provider.keyless)
    for _, slot in ipairs(provider.slots) do pardon(slot) end
  end
end

---@alias ccrelay.UpstreamState 'ready'|'limited'|'aside'|'cooling'|'open'|'half_open'

--- The state of a key at its provider and, unless it may be tried now, when it may: for a model, or at all.
---@param slot ccrelay.Slot
---@param now number
---@param model string?
---@return ccrelay.UpstreamState state
---@return number? ready
function M.state(slot, now, model)
  local aside = C.cc_cell_get(slot.health)
  if aside > now then return 'aside', aside end
  local rest = C.cc_cell_get(model and quota.of(slot, model).rest or slot.rest)
  if rest > now then return 'limited', rest end
  local cooling = C.cc_cell_get(slot.provider.cooling)
  if cooling > now then return 'cooling', cooling end
  local breaker, ready = M.breaker(slot.provider, now)
  if breaker == 'closed' then return 'ready' end
  return breaker, ready
end

return M
