-- SPDX-License-Identifier: Apache-2.0
-- Decides when saved files are reloaded. An event in a watched folder only triggers a check of the files that a
-- generation is made from: a log that is written in the same folder delays nothing, and a changed symbolic link is
-- noticed.
local C = require 'ccrelay.c'
local each = require 'ccrelay.util.each'
local source = require 'ccrelay.generation.bundle'

local M = {}

M.TIMER = 0 -- number of the process's timer for the next check

local CHECK_MS = 50
local QUIET_MS = 100   -- a save is often several changes: files that stay the same for this time are complete
local LONGEST_MS = 300 -- files that keep changing are loaded after this time

---@class ccrelay.Watch
---@field relay ffi.cdata*
---@field options ccrelay.RunOptions
---@field bundle ccrelay.Bundle the last one that could be read
---@field numbers table<string, integer> numbers of the watched folders
---@field failed table<string, true> folders that cannot be watched
---@field armed boolean whether the timer for a check is set
---@field pending { saved: ccrelay.Bundle, since: number, first: number }? changed files that are not quiet yet
local Watch = {}
Watch.__index = Watch

---@param relay ffi.cdata*
---@param options ccrelay.RunOptions
---@return ccrelay.Watch
function M.new(relay, options)
  return setmetatable({ relay = relay, options = options, numbers = {}, failed = {}, armed = false }, Watch)
end

--- Watches the folders that the files of a bundle are in now, and no others.
---@param bundle ccrelay.Bundle
---@return string[] lost folders that cannot be watched, but could before
function Watch:follow(bundle)
  local numbers, kept, failed, lost = {}, {}, {}, {}
  self.bundle = bundle
  if not self.options.watch then return lost end
  for _, folder in ipairs(source.folders(self.options, bundle)) do
    local number = C.cc_watch(self.relay, folder)
    if number < 0 then
      failed[folder] = true
      if not self.failed[folder] then lost[#lost + 1] = folder end
      number = self.numbers[folder] -- keep the watch of a folder that was removed: it may come back
    end
    if number then numbers[folder], kept[number] = number, true end
  end
  for _, number in each(self.numbers) do
    if not kept[number] then C.cc_unwatch(self.relay, number) end
  end
  self.numbers, self.failed = numbers, failed
  return lost
end

local function arm(self)
  self.armed = true
  C.cc_timer(self.relay, M.TIMER, CHECK_MS)
end

--- Handles an event in one of the folders.
function Watch:event()
  if not self.armed then arm(self) end
end

--- Runs when the timer fires: checks the files.
---@param tried ccrelay.Bundle the files at the last reload, whether it succeeded or was refused
---@param now number cc_now()
---@return boolean due whether the files are to be reloaded now
function Watch:due(tried, now)
  self.armed = false
  local saved, pending = source.saved(self.options), self.pending
  self.pending = nil
  self:follow(saved.faults and self.bundle or saved)
  if source.same(saved, tried) then return false end
  if not pending or not source.same(saved, pending.saved) then
    pending = { saved = saved, since = now, first = pending and pending.first or now }
  end
  if now - pending.since >= QUIET_MS or now - pending.first >= LONGEST_MS then return true end
  self.pending = pending
  arm(self)
  return false
end

return M
