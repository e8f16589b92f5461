-- SPDX-License-Identifier: Apache-2.0
-- Decides when files that were saved are taken over. Whatever happens in a folder only leads to a look
-- at the files a generation is made from: a log that is written beside them delays nothing, and what a
-- symbolic link has come to lead to is noticed.
local C = require 'ccrelay.c'
local each = require 'ccrelay.util.each'
local source = require 'ccrelay.generation.bundle'

local M = {}

M.TIMER = 0 -- the process's timer for the next look

local LOOK_MS = 50
local QUIET_MS = 100   -- a save is often several changes: files that stay the same for so long are whole
local LONGEST_MS = 300 -- files that go on changing are tried after this

---@class ccrelay.Watch
---@field relay ffi.cdata*
---@field options ccrelay.RunOptions
---@field bundle ccrelay.Bundle the last one that could be read
---@field numbers table<string, integer> of the folders that are watched
---@field failed table<string, true> folders that cannot be
---@field armed boolean a look is to come
---@field pending { saved: ccrelay.Bundle, since: number, first: number }? what waits to be quiet
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
---@return string[] failed folders that cannot be watched, and could before
function Watch:follow(bundle)
  local numbers, kept, failed, news = {}, {}, {}, {}
  self.bundle = bundle
  if not self.options.watch then return news end
  for _, folder in ipairs(source.folders(self.options, bundle)) do
    local number = C.cc_watch(self.relay, folder)
    if number < 0 then
      failed[folder] = true
      if not self.failed[folder] then news[#news + 1] = folder end
      number = self.numbers[folder] -- one that has gone is waited for
    end
    if number then numbers[folder], kept[number] = number, true end
  end
  for _, number in each(self.numbers) do
    if not kept[number] then C.cc_unwatch(self.relay, number) end
  end
  self.numbers, self.failed = numbers, failed
  return news
end

local function arm(self)
  self.armed = true
  C.cc_timer(self.relay, M.TIMER, LOOK_MS)
end

--- Something has happened in one of the folders.
function Watch:event()
  if not self.armed then arm(self) end
end

--- The timer rang: true when what is saved is to be taken over now.
---@param tried ccrelay.Bundle what was saved when it was last taken over, or refused
---@param now number cc_now()
---@return boolean
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
