-- SPDX-License-Identifier: Apache-2.0
-- Runs the event loop of a worker: it takes one event after the other from C and resumes the coroutine of its exchange.
local C = require 'ccrelay.c'
local each = require 'ccrelay.util.each'
local Exchange = require 'ccrelay.exchange'
local fault = require 'ccrelay.script.fault'
local finish = require 'ccrelay.exchange.finish'
local ffi = require 'ffi'
local open_exchanges = require 'ccrelay.server.open_exchanges'
local random = require 'ccrelay.util.random'
local call = require 'ccrelay.script.call'
local respond = require 'ccrelay.exchange.respond'
local serve = require 'ccrelay.server.serve'
local task = require 'ccrelay.sched.task'
local wait = require 'ccrelay.sched.wait'

---@class ccrelay.Worker handlers of other events; each is optional
---@field generation fun(self): ccrelay.Generation the current one
---@field on_message (fun(self, slot: integer))?
---@field on_fault (fun(self, generation: ccrelay.Generation, why: string))? a policy failed
---@field on_signal (fun(self, number: integer): boolean?)?
---@field on_timer (fun(self, number: integer): boolean?)? true ends the loop, as from every handler
---@field on_file (fun(self, watch: integer): boolean?)?
---@field on_child (fun(self, slot: integer): boolean?)?

---@class ccrelay.Loop
---@field relay ffi.cdata*
---@field worker ccrelay.Worker
---@field generation ccrelay.Generation?
---@field exchanges table<number, ccrelay.Exchange>
---@field idle thread[] coroutines that have ended their exchange
local Loop = {}
Loop.__index = Loop

local M = {}

local IDLE = {}
local MOST_IDLE = 256

-- A collection costs time in proportion to what is alive, which is little: a heap below SMALL_KB may grow to three
-- times its size before it is collected, a larger one to twice. A large heap is most likely garbage of a script: it is
-- collected at once.
local SMALL_KB, LARGE_KB = 3072, 65536
local EVENTS_BETWEEN_LOOKS = 64

local function tune_collector()
  local size = collectgarbage 'count'
  collectgarbage('setpause', size < SMALL_KB and 300 or 200)
  if size > LARGE_KB then collectgarbage 'restart' end
end

local function body(exchange)
  while true do
    serve.run(exchange)
    exchange = coroutine.yield(IDLE)
  end
end

function Loop:keep_idle(thread)
  local idle = self.idle
  if #idle < MOST_IDLE then idle[#idle + 1] = thread end
end

-- Resumes the coroutine of an exchange until it waits or ends.
function Loop:resume(exchange, first, second)
  local thread = exchange.wait.thread
  local ok, result = wait.resume(exchange, first, second)
  if ok and result ~= IDLE then return end
  wait.finish(exchange)
  if ok then return self:keep_idle(thread) end
  fault.note(exchange, result, debug.traceback(thread))
  respond.script_failed(exchange)
end

function Loop:current()
  local generation = self.worker:generation()
  if generation ~= self.generation then
    generation:succeed(self.generation)
    self.generation = generation
  end
  return generation
end

local handlers = {}

handlers[C.CC_EVENT_READY] = function(self, handle)
  local exchange = Exchange.new(self.relay, handle, self:current())
  self.exchanges[handle] = exchange
  open_exchanges.note_begin()
  local idle = self.idle
  wait.begin(exchange, table.remove(idle) or coroutine.create(body))
  self:resume(exchange, exchange)
end

local function waker(kind)
  return function(self, handle, detail)
    local exchange = self.exchanges[handle]
    if not exchange then return end
    if wait.awaits(exchange, kind) then self:resume(exchange, kind, detail) else wait.miss(exchange, kind, detail) end
  end
end

handlers[C.CC_EVENT_OUTCOME] = waker(wait.OUTCOME)
handlers[C.CC_EVENT_WRITABLE] = waker(wait.WRITABLE)
handlers[C.CC_EVENT_BODY] = waker(wait.BODY)
local timer = waker(wait.TIMER)

handlers[C.CC_EVENT_TIMER] = function(self, handle, detail)
  if handle ~= 0 then return timer(self, handle, detail) end
  if detail == task.TIMER then return task.on_timer() end
  if detail == open_exchanges.TIMER then return open_exchanges.on_timer(self.exchanges) end
  return self:notify('on_timer', detail)
end

handlers[C.CC_EVENT_FETCH] = function(_, id) task.fetched(id) end

-- Resumes exchanges that a task has woken. They must not run inside the task.
function Loop:resume_posted()
  while #wait.posted > 0 do
    local list = wait.posted
    wait.posted = {}
    for _, news in ipairs(list) do
      local exchange, kind = news[1], news[2]
      C.cc_watchdog_restart(self.relay, exchange.handle)
      if not exchange.ended and wait.awaits(exchange, kind) then self:resume(exchange, kind) end
    end
  end
end

handlers[C.CC_EVENT_DONE] = function(self, handle)
  local exchange = self.exchanges[handle] or Exchange.new(self.relay, handle, self:current())
  self.exchanges[handle] = nil
  exchange:mark_ended()
  wait.finish(exchange)
  local ok, message = call.pcall(finish.finish, exchange)
  if not ok then exchange.generation.logger:say('error', 'bookkeeping failed: ' .. tostring(message)) end
end

function Loop:notify(name, detail)
  local handler = self.worker[name]
  return handler and handler(self.worker, detail) == true
end

for event, name in each {
  [C.CC_EVENT_FILE] = 'on_file', [C.CC_EVENT_CHILD] = 'on_child', [C.CC_EVENT_MESSAGE] = 'on_message',
  [C.CC_EVENT_SIGNAL] = 'on_signal',
} do
  handlers[event] = function(self, _, detail) return self:notify(name, detail) end
end

function Loop:after_faults()
  local worker = self.worker
  for _, one in ipairs(worker.on_fault and fault.of_policies or {}) do worker:on_fault(one.generation, one.why) end
  fault.clean_up()
end

local function next_event(relay, event) return (C.cc_next(relay, event)) end

--- Serves until no more events can come, or a handler of the worker returns true.
---@param relay ffi.cdata*
---@param worker ccrelay.Worker
function M.run(relay, worker)
  random.renew()
  task.attach(relay)
  local self = setmetatable({ relay = relay, worker = worker, generation = nil, exchanges = {}, idle = {} }, Loop)
  local event, count = ffi.new 'struct cc_event', 0
  while next_event(relay, event) do
    if count % EVENTS_BETWEEN_LOOKS == 0 then tune_collector() end
    count = count + 1
    local handler = handlers[event.type]
    if handler and handler(self, event.id, event.detail) then return end
    if #wait.posted > 0 then self:resume_posted() end
    if fault.any then self:after_faults() end
  end
end

return M
