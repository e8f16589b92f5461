-- SPDX-License-Identifier: Apache-2.0
-- A policy that fails again and again is put aside: the last one that was good serves, else failover.
-- The master counts what its workers tell, and swaps as for a reload.
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

---@class ccrelay.Aside
---@field policy string the file that was put aside
---@field why string its last fault
---@field instead string what serves
---@field time integer cc_time

---@class ccrelay.Fallback
---@field most integer faults within a minute; 0: a policy is never put aside
---@field number integer the generation that is counted
---@field faults { at: number, killed: boolean }[]
---@field before ccrelay.Script? the policy that was in force before this one, when it was good
---@field aside ccrelay.Aside?
---@field pid integer? of the worker killed last
---@field hopeless integer? the generation for which nothing was found
local Fallback = {}
Fallback.__index = Fallback

---@param most integer? 3 unless given
---@return ccrelay.Fallback
function M.new(most)
  return setmetatable({ most = most or MOST_FAULTS, number = 0, faults = {} }, Fallback)
end

--- Counts a fault: true when the generation has had too many within a minute.
---@param number integer the generation
---@param now number cc_now
---@param killed boolean the worker had to be killed for it
---@return boolean
function Fallback:count(number, now, killed)
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

--- What may serve in place of a policy, the best first.
---@param own ccrelay.Script the policy that was asked for
---@param serving ccrelay.Script the one that fails
---@param last_resort ccrelay.Script?
---@return ccrelay.Script[]
function Fallback:candidates(own, serving, last_resort)
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

local function take(master, script, changed, generation, why)
  local own = source.policy(master.bundle, master.generation.configuration)
  local serving = master.bundle.instead or own
  local which = serving == own and own.path or name_of(serving, own)
  local aside = { policy = which, why = why, instead = name_of(script, own), time = math.floor(C.cc_time()) }
  cell.add('count:policies_put_aside', 1)
  master:say('error', ('policy %s fails again and again: put aside until it is changed; %s serves instead: %s')
    :format(which, aside.instead, why))
  master:prepare(changed, generation, aside)
end

local function put_aside(master, why)
  local self, bundle = master.fallback, master.bundle
  local own = source.policy(bundle, master.generation.configuration)
  local text = bundle.scripts[LAST_RESORT]
  local last_resort = text and { path = LAST_RESORT, text = text }
  for _, script in ipairs(self:candidates(own, bundle.instead or own, last_resort)) do
    local changed = with(bundle, script)
    local generation = preflight.build(function() return source.build(changed, master.options) end)
    if master.draining then return end
    if generation then return take(master, script, changed, generation, why) end
  end
  self.hopeless = master.number
  master:say('error', ('policy %s fails again and again, and nothing can serve instead: %s'):format(own.path, why))
end

--- A policy has failed in a worker.
---@param master ccrelay.Master
---@param number integer the generation
---@param why string with file and line, if known
---@param killed boolean
function M.fault(master, number, why, killed)
  local self = master.fallback
  if number ~= master.number then return end
  local too_many = self:count(number, C.cc_now(), killed)
  local busy = master.trying or master.waiting or master.draining
  if not too_many or busy or self.hopeless == number then return end
  master:apart(put_aside, why)
end

--- A worker is killed because it does not come back from Lua; told until it is gone.
---@param master ccrelay.Master
---@param pid integer
---@param milliseconds number
function M.killed(master, pid, milliseconds)
  local self = master.fallback
  if self.pid == pid then return end
  self.pid = pid
  local why = ('a worker was killed that had not come back from Lua for %d ms'):format(milliseconds)
  M.fault(master, master.number, why, true)
end

--- A worker has ended by itself while a script ran in it.
---@param master ccrelay.Master
---@param how string
function M.died(master, how)
  M.fault(master, master.number, 'a worker ' .. how .. ' while a script ran', true)
end

--- What was to serve instead could not be taken over by all workers.
---@param master ccrelay.Master
function M.failed(master)
  master.fallback.hopeless = master.number
end

--- Keeps a policy put aside over a reload that did not change it.
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

--- Another generation is about to be in force.
---@param master ccrelay.Master still with the one before
---@param bundle ccrelay.Bundle
---@param generation ccrelay.Generation
---@param aside ccrelay.Aside?
function M.swap(master, bundle, generation, aside)
  local self, old = master.fallback, master.bundle
  if aside then
    if self.before and source.same_file(self.before, old.instead) then self.before = nil end
    self.aside = aside
    return
  end
  local before = source.policy(old, master.generation.configuration)
  local changed = not source.same_file(before, source.policy(bundle, generation.configuration))
  if changed and not self.aside then self.before = before end
  if not bundle.instead then self.aside = nil end
end

return M
