-- SPDX-License-Identifier: Apache-2.0
-- Runs a helper in its own process: its loop, and its link to the master.
local ffi = require 'ffi'
local C = require 'ccrelay.c'
local ipc = require 'ccrelay.process.ipc'
local task = require 'ccrelay.sched.task'

local M = {}

local SIGINT, SIGTERM, SIGHUP = 2, 15, 1
local TIMER_TICK = 0
local FLUSH_MS = 1000

---@class ccrelay.HelperLink
---@field relay ffi.cdata* relay of this process
---@field settings table as the kind's settings function made them, kept current
---@field logger ccrelay.Logger
---@field ending boolean whether the master has told this process to end
local Link = {}
Link.__index = Link

--- Sends a message to the master.
---@param message table
function Link:send(message)
  ipc.send(self.relay, -1, ipc.pack(message))
end

--- Tells the master that the work has begun: workers start after that.
function Link:ready()
  self:send { type = 'ready' }
end

--- Tells the master what /status shows of this helper.
---@param state table plain data
function Link:tell(state)
  self:send { type = 'state', state = state }
end

local messages = {}

function messages.settings(self, message) self.settings = message.settings end

messages['end'] = function(self) self.ending = true end

function messages.ask(self, message, answer)
  local body, why
  if answer then body, why = answer(message.question) end
  self:send { type = 'reply', number = message.number, body = body, why = why }
end

local function on_message(self, answer)
  local message = ipc.receive(self.relay)
  local handler = message and messages[message.type]
  if handler then handler(self, message, answer) end
end

-- Handles an event. Returns whether it was the tick's.
local function handle(self, event, answer)
  if event.type == C.CC_EVENT_MESSAGE then
    on_message(self, answer)
  elseif event.type == C.CC_EVENT_FETCH then
    task.fetched(event.id)
  elseif event.type == C.CC_EVENT_TIMER and event.detail == task.TIMER then
    task.on_timer()
  else
    return event.type == C.CC_EVENT_TIMER
  end
  return false
end

--- Calls tick every interval_ms until the master ends this process, and once more then.
---@param interval_ms number
---@param tick function
---@param answer (fun(question: table): string?, string?)? answers what the master asks: a text; or nil, and why not
function Link:loop(interval_ms, tick, answer)
  local event = ffi.new 'struct cc_event'
  C.cc_timer(self.relay, TIMER_TICK, interval_ms)
  while not self.ending and C.cc_next(self.relay, event) do
    if handle(self, event, answer) then
      tick()
      C.cc_timer(self.relay, TIMER_TICK, interval_ms)
    end
  end
  tick()
end

--- Handles events until is_over returns true, or the time is over. Used to finish work at the end.
---@param most_ms number
---@param is_over fun(): boolean is called at once and after each event
function Link:wait(most_ms, is_over)
  local event, due = ffi.new 'struct cc_event', C.cc_now() + most_ms
  C.cc_timer(self.relay, TIMER_TICK, most_ms)
  while not is_over() and C.cc_now() < due and C.cc_next(self.relay, event) do handle(self, event) end
end

--- Runs a helper in the process that the master forked.
---@param master ccrelay.Master
---@param kind ccrelay.HelperKind
---@param settings table
---@return integer code exit code of the process
function M.run(master, kind, settings)
  local self = setmetatable({
    relay = master.relay, settings = settings, logger = master.generation.logger, ending = false,
  }, Link)
  C.cc_process('ccrelay: ' .. kind.name)
  -- A signal to the whole process group is for the master, which ends the helpers after the workers.
  for _, number in ipairs { SIGINT, SIGTERM, SIGHUP } do C.cc_signal(self.relay, number) end
  task.attach(self.relay)
  kind.run(self)
  C.cc_log_flush(FLUSH_MS)
  C.cc_close(self.relay)
  return 0
end

return M
