-- SPDX-License-Identifier: Apache-2.0
-- Runs work of the relay's own in coroutines beside those of the exchanges. It guarantees that a task never blocks
-- the loop: while it waits for time, a program, a process or a request (net/fetch.lua), the loop goes on.
local C = require 'ccrelay.c'
local ffi = require 'ffi'
local slice = require 'ccrelay.util.slice'

local M = {}

M.TIMER = 15 -- the process's timer that tasks share

local RUN_MS, RUN_BYTES = 60000, 65536

local relay
local waiting = {} -- threads by the id of what they wait for
local sleepers = {} -- { due =, thread = }

--- Sets the relay of this process. Tasks of another one are forgotten.
---@param handle ffi.cdata*
function M.attach(handle)
  relay, waiting, sleepers = handle, {}, {}
end

--- The relay of this process.
---@return ffi.cdata*
function M.relay()
  return relay
end

local function resume(thread, ...)
  local ok, message = coroutine.resume(thread, ...)
  if not ok then error(debug.traceback(thread, tostring(message)), 0) end
end

--- Begins a task; it runs at once until it waits for the first time.
---@param work function
---@param ... any
function M.start(work, ...)
  resume(coroutine.create(work), ...)
end

-- ---- Time --------------------------------------------------------------------------------------

local function arm()
  local first = math.huge
  for _, sleeper in ipairs(sleepers) do first = math.min(first, sleeper.due) end
  C.cc_timer(relay, M.TIMER, first < math.huge and math.max(first - C.cc_now(), 0) or -1)
end

--- Waits so many milliseconds.
---@param milliseconds number
function M.sleep(milliseconds)
  sleepers[#sleepers + 1] = { due = C.cc_now() + milliseconds, thread = coroutine.running() }
  arm()
  coroutine.yield()
end

--- The shared timer has expired: the sleepers whose time has come go on.
function M.on_timer()
  local now, due, later = C.cc_now(), {}, {}
  for _, sleeper in ipairs(sleepers) do
    local list = sleeper.due <= now and due or later
    list[#list + 1] = sleeper
  end
  sleepers = later
  for _, sleeper in ipairs(due) do resume(sleeper.thread) end
  arm()
end

-- ---- Jobs of C ---------------------------------------------------------------------------------

local command_spec = ffi.new 'struct cc_command'
local fetched = ffi.new 'struct cc_fetched'

--- Waits until a request, program or process has ended. Within a task only.
---@param id number
---@return ffi.cdata*? fetched struct cc_fetched, valid until the task waits again; nil when the result was lost
function M.await(id)
  waiting[id] = coroutine.running()
  coroutine.yield()
  return C.cc_fetched(relay, id, fetched) == C.CC_OK and fetched or nil
end

--- What a job failed with, in words; nil when it went well.
---@param result ffi.cdata*? of M.await
---@return string?
function M.failure(result)
  if not result then return 'the answer was lost' end
  if result.error == C.CC_OK then return nil end
  local words, detail = ffi.string(C.cc_error_text(result.error)), slice.text(result.detail)
  return detail ~= '' and words .. ' (' .. detail .. ')' or words
end

---@class ccrelay.RunSpec
---@field arguments string[] the program first
---@field timeout_ms number? 60000
---@field answer_bytes number? 65536

--- Runs a program, without a shell, and waits for its end. Within a task only.
---@param spec ccrelay.RunSpec
---@return { status: integer, body: string, complaint: string }? result
---@return string? message
function M.run(spec)
  local arguments = table.concat(spec.arguments, '\0') .. '\0'
  slice.put(command_spec.arguments, arguments)
  command_spec.timeout_ms, command_spec.answer_bytes = spec.timeout_ms or RUN_MS, spec.answer_bytes or RUN_BYTES
  local id = C.cc_run(relay, command_spec)
  if id < 0 then return nil, ffi.string(C.cc_error_text(id)) end
  local result = M.await(id)
  local failure = M.failure(result)
  if failure then return nil, failure end
  return { status = result.status, body = slice.text(result.body), complaint = slice.text(result.detail) }
end

--- Runs work in a process of its own, and waits for its end. Within a task only.
---@param work function runs in that process alone
---@param cpu_ms number processor time it may use; six times as long in all
---@param answer_bytes number of its output, at most
---@param ... any for work
---@return { error: integer, status: integer, body: string }? result
---@return string? message
function M.apart(work, cpu_ms, answer_bytes, ...)
  local id = C.cc_preflight(relay, cpu_ms, answer_bytes)
  if id == 0 then
    pcall(work, ...)
    C.cc_preflight_end()
  end
  if id < 0 then return nil, ffi.string(C.cc_system_error()) end
  local result = M.await(id)
  if not result then return nil, M.failure(nil) end
  return { error = result.error, status = result.status, body = slice.text(result.body) }
end

--- A FETCH event has come: the task that waits for it goes on.
---@param id number
function M.fetched(id)
  local thread = waiting[id]
  waiting[id] = nil
  if thread then resume(thread) end
end

--- Runs a task in a process that has no loop, or none yet, until it returns.
---@param work fun(): any, any
---@return any first
---@return any second
function M.run_alone(work)
  local handle, event = C.cc_open(), ffi.new 'struct cc_event'
  local over, first, second = false, nil, nil
  M.attach(handle)
  M.start(function()
    first, second = work()
    over = true
  end)
  while not over and C.cc_next(handle, event) do
    if event.type == C.CC_EVENT_FETCH then M.fetched(event.id) end
    if event.type == C.CC_EVENT_TIMER then M.on_timer() end
  end
  C.cc_close(handle)
  return first, second
end

return M
