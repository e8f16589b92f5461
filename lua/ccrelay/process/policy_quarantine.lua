-- SPDX-License-Identifier: Apache-2.0
-- Quarantines a policy that keeps failing: the last good policy serves instead, or failover if there is none. The
-- master counts the faults that its workers report, and swaps the policy as in a reload.
local C = require 'ccrelay.c'
local cell = require 'ccrelay.shared.cell'
local each = require 'ccrelay.util.each'
local source = require 'ccrelay.generation.bundle'
local preflight = require 'ccrelay.process.preflight'

local M = {}

local MINUTE_MS = 60000
local MOST_FAULTS = 3
local MOST_KILLS = 2
local LAST_RESORT = 'policies/failover.lua'

---@class ccrelay.Quarantined
---@field policy string the quarantined file
---@field why string its last fault
---@field instead string the policy that serves
---@field time integer moment (cc_time)

---@class ccrelay.Quarantine
---@field most integer faults within a minute; 0: a policy is never quarantined
---@field number integer the generation whose faults are counted
---@field faults { at: number, killed: boolean }[]
---@field before ccrelay.Script? the policy that was in force before this one, if it was good
---@field quarantined ccrelay.Quarantined?
---@field hopeless integer? the generation for which no substitute was found
local Quarantine = {}
Quarantine.__index = Quarantine

---@param most integer? 3 unless given
---@return ccrelay.Quarantine
function M.new(most)
  return setmetatable({ most = most or MOST_FAULTS, number = 0, faults = {} }, Quarantine)
end

--- Counts a fault.
---@param number integer the generation
---@param now number cc_now
---@param killed boolean whether the worker had to be killed
---@return boolean too_many whether the generation has had too many within a minute
function Quarantine:count(number, now, killed)
  local kept, kills = { { at = now, killed = killed } }, killed and 1 or 0
  for _, fault in ipairs(number == self.number and self.faults or {}) do
    if now - fault.at < MINUTE_MS and #kept < MOST_FAULTS + self.most then
      kept[#kept + 1] = fault
      kills = kills + (fault.killed and 1 or 0)
    end
  end
  self.number, self.faults = number, kept
  return self.most > 0 and (#kept >= self.most or kills >= MOST_KILLS)
end

--- Returns the policies that may serve instead, best first.
---@param own ccrelay.Script the configured policy
---@param serving ccrelay.Script the one that fails
---@param last_resort ccrelay.Script?
---@return ccrelay.Script[]
function Quarantine:candidates(own, serving, last_resort)
  local list = {}
  for _, script in ipairs { self.before or false, last_resort or false } do
    local known = not script or script.text == own.text or script.text == serving.text
    if not known then list[#list + 1] = script end
  end
  return list
end

local function name_of(script, own)
  if script.path == own.path then return 'the version before it' end
  return string.match(script.path, '^policies/([^/]*)%.lua$') or script.path
end

local function with(bundle, instead)
  local changed = {}
  for name, value in each(bundle) do changed[name] = value end
  changed.instead = instead
  return changed
end

local function replace_policy(master, script, changed, generation, why)
  local own = source.policy(master.bundle, master.generation.configuration)
  local serving = master.bundle.instead or own
  local which = serving == own and own.path or name_of(serving, own)
  local quarantined = { policy = which, why = why, instead = name_of(script, own), time = math.floor(C.cc_time()) }
  cell.add('count:policies_put_aside', 1)
  master:say('error', ('policy %s fails again and again: put aside until it is changed; %s serves instead: %s')
    :format(which, quarantined.instead, why))
  master:prepare(changed, generation, quarantined)
end

local function quarantine(master, why)
  local self, bundle = master.quarantine, master.bundle
  local own = source.policy(bundle, master.generation.configuration)
  local text = bundle.scripts[LAST_RESORT]
  local last_resort = text and { path = LAST_RESORT, text = text }
  for _, script in ipairs(self:candidates(own, bundle.instead or own, last_resort)) do
    local changed = with(bundle, script)
    local generation = preflight.build(function() return source.build(changed, master.options) end)
    if master.draining then return end
    if generation then return replace_policy(master, script, changed, generation, why) end
  end
  self.hopeless = master.number
  master:say('error', ('policy %s fails again and again, and nothing can serve instead: %s'):format(own.path, why))
end

--- Handles a fault of the policy in a worker.
---@param master ccrelay.Master
---@param number integer the generation
---@param why string with file and line, if known
---@param killed boolean whether the worker had to be killed
function M.fault(master, number, why, killed)
  local self = master.quarantine
  if number ~= master.number then return end
  local too_many = self:count(number, C.cc_now(), killed)
  local busy = master.trying or master.waiting or master.draining
  if not too_many or busy or self.hopeless == number then return end
  master:apart(quarantine, why)
end

--- Handles a worker that is killed because a script does not return.
---@param master ccrelay.Master
---@param milliseconds number how long the script has run
function M.killed(master, milliseconds)
  local why = ('a worker was killed because a script had run for %d ms'):format(milliseconds)
  M.fault(master, master.number, why, true)
end

--- Handles a worker that ended by itself while a script ran in it.
---@param master ccrelay.Master
---@param how string how it ended, for a message
function M.died(master, how)
  M.fault(master, master.number, 'a worker ' .. how .. ' while a script ran', true)
end

--- Records that not all workers could load the substitute.
---@param master ccrelay.Master
function M.failed(master)
  master.quarantine.hopeless = master.number
end

--- Keeps a policy quarantined across a reload that did not change it.
---@param master ccrelay.Master
---@param bundle ccrelay.Bundle
---@param generation ccrelay.Generation
---@param notes ccrelay.Fault[]
---@return ccrelay.Bundle bundle, ccrelay.Generation? generation, ccrelay.Fault[] notes
function M.keep(master, bundle, generation, notes)
  local instead = master.bundle.instead
  local own = source.policy(master.bundle, master.generation.configuration)
  local same = source.same_file(own, source.policy(bundle, generation.configuration))
  if not instead or not same then return bundle, generation, notes end
  local changed = with(bundle, instead)
  return changed, source.build(changed, master.options)
end

--- Updates the quarantine before another generation comes into force.
---@param master ccrelay.Master still with the previous generation
---@param bundle ccrelay.Bundle
---@param generation ccrelay.Generation
---@param quarantined ccrelay.Quarantined?
function M.swap(master, bundle, generation, quarantined)
  local self, old = master.quarantine, master.bundle
  if quarantined then
    if self.before and source.same_file(self.before, old.instead) then self.before = nil end
    self.quarantined = quarantined
    return
  end
  local before = source.policy(old, master.generation.configuration)
  local changed = not source.same_file(before, source.policy(bundle, generation.configuration))
  if changed and not self.quarantined then self.before = before end
  if not bundle.instead then self.quarantined = nil end
end

return M
