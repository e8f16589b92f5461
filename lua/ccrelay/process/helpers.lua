-- SPDX-License-Identifier: Apache-2.0
-- Starts and watches the helpers: processes that work beside the workers, such as the writer of usage figures. The
-- master starts a helper before the workers, replaces one that ends, tells it when its settings change, and ends it
-- after the last worker. It guarantees that no request waits for a helper.
local ffi = require 'ffi'
local C = require 'ccrelay.c'
local each = require 'ccrelay.util.each'
local helper = require 'ccrelay.process.helper'
local ipc = require 'ccrelay.process.ipc'
local exporter = require 'ccrelay.traces.exporter'
local json = require 'ccrelay.util.json'
local usage_writer = require 'ccrelay.usage.writer'

---@class ccrelay.HelperKind one kind of helper
---@field name string
---@field settings fun(configuration: table): table? plain data for its process; nil when no such process is needed
---@field run fun(link: ccrelay.HelperLink) works in that process until it is to end

---@class ccrelay.HelperEntry
---@field kind ccrelay.HelperKind
---@field slot integer
---@field settings string? packed; nil when no process is wanted
---@field ready boolean whether its process has begun to work
---@field restarts integer
---@field state table? what its process told last

---@class ccrelay.Helpers
---@field entries ccrelay.HelperEntry[]
---@field generation ccrelay.Generation? for which they were started and told
---@field waited boolean whether workers need not wait for them any more
---@field late_at number moment (cc_now) from which workers do not wait
---@field asked table<integer, ccrelay.HelperQuestion> questions without a reply, by number
---@field questions integer asked so far
---@field ending boolean whether the helpers have been told to end
local Helpers = {}
Helpers.__index = Helpers

---@class ccrelay.HelperQuestion
---@field slot integer
---@field due number moment (cc_now) at which it fails
---@field done fun(body: string?, why: string?)

local M = {}

M.TIMER = 7 -- number of the process's timer

---@type ccrelay.HelperKind[]
M.kinds = { usage_writer, exporter }

local SIGKILL = 9
local MOST_QUESTIONS = 32
local READY_MS = 3000   -- workers wait so long for helpers that begin
local RESPAWN_MS = 1000 -- a helper that ends sooner than this is replaced after this delay
local ANSWER_MS = 30000 -- a question is answered within this time
local END_MS = 3000     -- a helper that is told to end may take so long

local facts = ffi.new 'struct cc_worker'

local function is_running(entry)
  return C.cc_worker(entry.slot, facts) == C.CC_OK and facts.pid > 0
end

local function packed(entry, configuration)
  local settings = entry.kind.settings(configuration)
  return settings and ipc.pack(settings) or nil
end

---@return ccrelay.Helpers
function M.new()
  local self = setmetatable({
    entries = {}, asked = {}, questions = 0, waited = false, late_at = math.huge, ending = false,
  }, Helpers)
  for index, kind in ipairs(M.kinds) do
    self.entries[index] = { kind = kind, slot = C.CC_HELPER_SLOT + index - 1, ready = false, restarts = 0 }
  end
  return self
end

function Helpers:find(slot)
  return self.entries[slot - C.CC_HELPER_SLOT + 1]
end

-- Returns true in the new process, whose work is then in master.become.
local function spawn(master, entry)
  entry.ready = false
  local forked = master:fork(entry.slot, 'the helper ' .. entry.kind.name)
  if forked == nil then C.cc_timer(master.relay, M.TIMER, RESPAWN_MS) end
  if not forked then return false end
  master.become = function() return helper.run(master, entry.kind, ipc.unpack(entry.settings)) end
  return true
end

-- Returns true in a new process.
local function apply(master, entry)
  local before = entry.settings
  entry.settings = packed(entry, master.generation.configuration)
  if not is_running(entry) then return entry.settings ~= nil and spawn(master, entry) end
  if entry.settings == before then return false end
  local settings = entry.settings and ipc.unpack(entry.settings)
  ipc.send(master.relay, entry.slot, ipc.pack { type = settings and 'settings' or 'end', settings = settings })
  return false
end

--- Starts, updates and ends helpers to match the generation in force. Does nothing if that has not changed.
--- Returns true in a new process.
---@param master ccrelay.Master
---@return boolean
function Helpers:follow(master)
  if self.generation == master.generation or self.ending then return false end
  self.generation = master.generation
  for _, entry in ipairs(self.entries) do
    if apply(master, entry) then return true end
  end
  if not self:are_ready() then
    self.late_at = C.cc_now() + READY_MS
    C.cc_timer(master.relay, M.TIMER, READY_MS)
  end
  return false
end

--- Whether all helpers that run have begun to work, or have had the time for it.
---@return boolean
function Helpers:are_ready()
  for _, entry in ipairs(self.entries) do
    if not self.waited and is_running(entry) and not entry.ready then return false end
  end
  return true
end

-- ---- Questions ---------------------------------------------------------------------------------

local function finish_question(self, number, body, why)
  local question = self.asked[number]
  self.asked[number] = nil
  if question then question.done(body, why) end
end

-- Fails the questions for which is_lost(question) is true.
local function fail_questions(self, is_lost, why)
  local numbers = {}
  for number, question in each(self.asked) do
    if is_lost(question) then numbers[#numbers + 1] = number end
  end
  for _, number in ipairs(numbers) do finish_question(self, number, nil, why) end
end

--- Fails the questions that were not answered in time. Called every half second.
function Helpers:expire()
  local now = C.cc_now()
  fail_questions(self, function(question) return now >= question.due end,
    ('the helper has not answered for %d s'):format(ANSWER_MS / 1000))
end

local function entry_named(self, name)
  for _, entry in ipairs(self.entries) do
    if entry.kind.name == name then return entry end
  end
end

--- Sends a question to a helper. Calls done exactly once, now or later: with its reply, or with nil and the reason why
--- there is none. A helper that hangs fails it after half a minute.
---@param master ccrelay.Master
---@param name string of the helper
---@param question table plain data
---@param done fun(body: string?, why: string?)
function Helpers:ask(master, name, question, done)
  local entry, waiting = entry_named(self, name), 0
  for _ in each(self.asked) do waiting = waiting + 1 end
  if waiting >= MOST_QUESTIONS then return done(nil, 'too many questions are being answered') end
  if not (entry and entry.ready and is_running(entry)) then
    return done(nil, ('the helper %s does not run'):format(name))
  end
  self.questions = self.questions + 1
  self.asked[self.questions] = { slot = entry.slot, due = C.cc_now() + ANSWER_MS, done = done }
  ipc.send(master.relay, entry.slot, ipc.pack { type = 'ask', number = self.questions, question = question })
end

-- ---- Messages and ends -------------------------------------------------------------------------

--- Handles a message of a helper.
---@param slot integer
---@param message table
function Helpers:message(slot, message)
  local entry = self:find(slot)
  if message.type == 'reply' then return finish_question(self, message.number, message.body, message.why) end
  if message.type == 'ready' then entry.ready = true end
  if message.type == 'state' then entry.state = message.state end
end

--- Handles the end of a helper. Returns true in the process that replaces it.
---@param master ccrelay.Master
---@param slot integer
---@return boolean
function Helpers:ended(master, slot)
  local entry = self:find(slot)
  C.cc_worker(slot, facts)
  entry.state, entry.ready = nil, false
  fail_questions(self, function(question) return question.slot == slot end,
    ('the helper %s has ended'):format(entry.kind.name))
  if self.ending or not entry.settings then return false end
  entry.restarts = entry.restarts + 1
  local how = facts.status < 0 and 'was killed by signal ' .. -facts.status or 'ended with code ' .. facts.status
  master:say('error', ('the helper %s %s; starting another'):format(entry.kind.name, how))
  if C.cc_time() - facts.started >= RESPAWN_MS then return spawn(master, entry) end
  C.cc_timer(master.relay, M.TIMER, RESPAWN_MS)
  return false
end

-- Workers start when it is time, whether the helpers have begun or not.
local function report_late(self, master)
  local left = self.late_at - C.cc_now()
  if self.waited then return end
  if left > 0 and not self:are_ready() then return C.cc_timer(master.relay, M.TIMER, left) end
  for _, entry in ipairs(self.entries) do
    if is_running(entry) and not entry.ready then
      master:say('warn', ('the helper %s has not begun after %d s: requests are served without it until then'):format(
        entry.kind.name, READY_MS / 1000))
    end
  end
  self.waited = true
end

--- Runs when the timer fires: starts helpers that are due, kills those that do not end. Returns true in a new process.
---@param master ccrelay.Master
---@return boolean
function Helpers:due(master)
  report_late(self, master)
  for _, entry in ipairs(self.entries) do
    if self.ending then
      C.cc_kill(entry.slot, SIGKILL)
    elseif entry.settings and not is_running(entry) and spawn(master, entry) then
      return true
    end
  end
  return false
end

--- Tells all helpers to end, once. Returns whether none is left.
---@param master ccrelay.Master
---@return boolean
function Helpers:finish(master)
  local left = false
  for _, entry in ipairs(self.entries) do
    if is_running(entry) then
      left = true
      if not self.ending then ipc.send(master.relay, entry.slot, ipc.pack { type = 'end' }) end
    end
  end
  if left and not self.ending then C.cc_timer(master.relay, M.TIMER, END_MS) end
  self.ending = true
  return not left
end

--- The helpers that the configuration needs, as a list for JSON.
---@return table[]
function Helpers:describe()
  local list = json.array {}
  for _, entry in ipairs(self.entries) do
    if entry.settings then
      local runs = is_running(entry)
      list[#list + 1] = { name = entry.kind.name, pid = facts.pid, restarts = entry.restarts, ready = entry.ready,
        uptime_ms = runs and math.floor(C.cc_time() - facts.started) or 0, state = entry.state }
    end
  end
  return list
end

return M
