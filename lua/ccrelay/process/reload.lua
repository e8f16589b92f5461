-- SPDX-License-Identifier: Apache-2.0
-- Reloads saved files in the master, in two phases. The files are read, loaded in a child process, and built; then
-- every worker builds the new generation, and when all have succeeded, all swap. It guarantees that either all workers
-- swap or none.
local C = require 'ccrelay.c'
local ipc = require 'ccrelay.process.ipc'
local config = require 'ccrelay.config'
local each = require 'ccrelay.util.each'
local policy_quarantine = require 'ccrelay.process.policy_quarantine'
local connect_check = require 'ccrelay.health.connect_check'
local source = require 'ccrelay.generation.bundle'
local task = require 'ccrelay.sched.task'
local preflight = require 'ccrelay.process.preflight'

local M = {}

M.TIMER = 4 -- number of the process's timer for workers that do not answer

local SIGKILL = 9
local ANSWER_MS = 10000
local MOST_NOTES = 20

---@class ccrelay.Reload under way, once the master has built the generation
---@field bundle ccrelay.Bundle
---@field generation ccrelay.Generation
---@field quarantined ccrelay.Quarantined? set if the generation replaces a failing policy
---@field number integer of the generation
---@field turn integer number of the reload, to recognize its answers
---@field text string the message that asks workers to build it
---@field left table<integer, true> slots of workers that have not answered
---@field fault string? why the reload fails

-- Keeps the results of the last reloads, newest first.
local function keep(master, entry)
  entry.at = math.floor(C.cc_time())
  table.insert(master.history, 1, entry)
  master.history[MOST_NOTES + 1] = nil
end

local function refuse(master, text)
  master.failed = master.failed + 1
  master.last_fault = master.generation.logger.clean(text)
  keep(master, { fault = master.last_fault })
  master:say('error', 'reload refused, the running generation stays:\n' .. master.last_fault)
end

local function go_on(master)
  local again = master.again
  if master.trying or master.waiting then return end
  if not again then return master.service:reloaded(master) end
  master.again = nil
  M.request(master, again == 'forced')
end

-- ---- Reading and building ----------------------------------------------------------------------

--- Runs work that may take a while as a task. No other reload begins meanwhile.
---@param master ccrelay.Master
---@param work fun(master: ccrelay.Master, ...)
---@param ... any
function M.apart(master, work, ...)
  master.trying = true
  master.service:reloading()
  task.start(function(...)
    local ok, message = xpcall(work, debug.traceback, master, ...)
    master.trying = false
    if not ok then refuse(master, message) end
    go_on(master)
  end, ...)
end

local function build(master, bundle, forced)
  local generation, notes = source.build(bundle, master.options)
  if generation and not forced then
    bundle, generation, notes = policy_quarantine.keep(master, bundle, generation, notes)
  end
  return generation and { bundle = bundle, generation = generation }, notes
end

local function warn(master, generation, notes)
  for _, note in ipairs(notes) do master:say('warn', config.text(note)) end
  for _, key in ipairs(config.restarts(master.generation.configuration, generation.configuration)) do
    master:say('warn', key .. ' has changed: that needs a restart')
  end
end

local function load_saved(master, forced)
  local saved = source.saved(master.options)
  if not forced and source.same(saved, master.tried) then return end
  master.tried = saved
  if saved.faults then return refuse(master, source.text(saved.faults)) end
  if not forced and source.same(saved, master.bundle) then
    master.last_fault = nil -- the faulty file was restored
    return
  end
  local built, notes = preflight.build(function() return build(master, saved, forced) end)
  if master.draining then return end
  if not built then return refuse(master, source.text(notes)) end
  warn(master, built.generation, notes)
  M.prepare(master, built.bundle, built.generation)
end

--- Requests a reload of the saved files.
---@param master ccrelay.Master
---@param forced boolean whether to reload even if nothing has changed
function M.request(master, forced)
  if master.draining then return end
  if master.trying or master.waiting then
    master.again = forced and 'forced' or master.again or 'changed'
    return
  end
  M.apart(master, load_saved, forced)
end

-- ---- The two phases ----------------------------------------------------------------------------

local function replace(master, slot, why)
  master:say('warn', ('worker %d %s: it is killed and replaced'):format(slot, why))
  C.cc_kill(slot, SIGKILL)
end

--- Asks a worker to build the new generation, if a reload is under way.
---@param master ccrelay.Master
---@param slot integer
function M.tell(master, slot)
  local waiting = master.waiting
  if not waiting then return end
  local code = ipc.send(master.relay, slot, waiting.text)
  if code == C.CC_OK then
    waiting.left[slot] = true
  elseif code == C.CC_ELIMIT then
    waiting.fault = ('the files are too large together: %d bytes to send to the workers'):format(#waiting.text)
  else
    replace(master, slot, 'cannot be told of a reload')
  end
end

--- First phase: every worker builds the generation but does not use it yet.
---@param master ccrelay.Master
---@param bundle ccrelay.Bundle
---@param generation ccrelay.Generation
---@param quarantined ccrelay.Quarantined?
function M.prepare(master, bundle, generation, quarantined)
  local faults = source.prepare_tls(master.relay, bundle)
  if faults then return refuse(master, source.text(faults)) end
  local number, turn = master.number + 1, master.turn + 1
  generation.number, master.turn = number, turn
  master.waiting = {
    bundle = bundle, generation = generation, quarantined = quarantined, number = number, turn = turn, left = {},
    text = ipc.pack { type = 'prepare', number = number, turn = turn, bundle = bundle },
  }
  C.cc_timer(master.relay, M.TIMER, ANSWER_MS)
  for _, slot in ipairs(master:living()) do M.tell(master, slot) end
  M.settle(master)
end

local function commit(master, waiting)
  if not waiting.quarantined then waiting.generation:forgive_keys() end
  local text = ipc.pack { type = 'commit', turn = waiting.turn }
  for _, slot in ipairs(master:living()) do
    local told = ipc.send(master.relay, slot, text) == C.CC_OK
    if not told then replace(master, slot, 'cannot be told of a reload') end
  end
  C.cc_tls_commit(master.relay)
  policy_quarantine.swap(master, waiting.bundle, waiting.generation, waiting.quarantined)
  master.number = waiting.number
  master.generation, master.bundle = waiting.generation, waiting.bundle
  if not waiting.quarantined then master.reloads = master.reloads + 1 end
  master.last_fault = nil
  master.loaded = C.cc_time()
  keep(master, { generation = master.number, policy_aside = waiting.quarantined and true or nil })
  master:say('info', ('generation %d is in force'):format(master.number))
  master:follow()
  connect_check.later(master.relay, master.generation)
  source.collect()
end

--- Second phase, when all workers have answered: all swap, or none.
---@param master ccrelay.Master
function M.settle(master)
  local waiting = master.waiting
  if not waiting or next(waiting.left) then return end
  master.waiting = nil
  C.cc_timer(master.relay, M.TIMER, -1)
  if waiting.fault then
    refuse(master, waiting.fault)
    if waiting.quarantined then policy_quarantine.failed(master) end
  else
    commit(master, waiting)
  end
  go_on(master)
end

--- Handles the answer of a worker: it has built the generation, or found a fault in it.
---@param master ccrelay.Master
---@param slot integer
---@param message { turn: integer, fault: string? }
function M.answered(master, slot, message)
  local waiting = master.waiting
  if not waiting or message.turn ~= waiting.turn then return end
  waiting.left[slot] = nil
  waiting.fault = waiting.fault or message.fault
  M.settle(master)
end

--- Stops waiting for the answer of a worker that has ended.
---@param master ccrelay.Master
---@param slot integer
function M.ended(master, slot)
  if not master.waiting then return end
  master.waiting.left[slot] = nil
  M.settle(master)
end

--- Runs when the timer fires: replaces workers that have not answered. The reload fails, unless it replaces a failing
--- policy: then the new workers start with the substitute.
---@param master ccrelay.Master
function M.overdue(master)
  local waiting = master.waiting
  if not waiting or master.draining then return end
  local why = ('has not answered a reload for %d s'):format(ANSWER_MS / 1000)
  for slot in each(waiting.left) do
    replace(master, slot, why)
    if not waiting.quarantined then waiting.fault = waiting.fault or ('worker %d %s'):format(slot, why) end
  end
  waiting.left = {}
  M.settle(master)
end

return M
