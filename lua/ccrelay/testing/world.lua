-- SPDX-License-Identifier: Apache-2.0
-- The state of the scripted C side: its clock, which only events move, its exchanges, and the events to come.
local each = require 'ccrelay.util.each'
local event_queue = require 'ccrelay.testing.event_queue'
local ffi = require 'ffi'
local real = require 'ccrelay.c'

local M = {}

-- Other modules keep a reference to this table, so reset empties it and never replaces it.
local state = {}

-- By type of event: a function that changes the state when the event comes.
M.starts = {}

local function keep(text)
  state.anchors[#state.anchors + 1] = text
  return text
end

local function put(slice, text)
  slice.data, slice.size = keep(text), #text
end

local function bytes(text, size)
  if type(text) == 'string' then return text:sub(1, size) end
  return ffi.string(text, size)
end

local function post(delay, kind, id, detail)
  state.count = state.count + 1
  local event = { due = state.now + delay, order = state.count, type = kind, id = id, detail = detail or 0 }
  event_queue.add(state.events, event)
  return event
end

local function drop(event)
  event.dropped = true
end

local function next_event()
  return event_queue.take(state.events)
end

-- Returns a header by its name in any case. A value that is a list stands for several lines of one name.
local function header_of(headers, name)
  for key, value in each(headers or {}) do
    if key:lower() == name:lower() then return type(value) == 'table' and value[1] or value end
  end
end

local function sorted(headers)
  local list = {}
  for name, values in each(headers or {}) do
    for index, value in ipairs(type(values) == 'table' and values or { values }) do
      list[#list + 1] = { name, value, index }
    end
  end
  table.sort(list, function(a, b) return a[1] < b[1] or a[1] == b[1] and a[3] < b[3] end)
  return list
end

-- Returns the exchange of an id, or nil for an unknown id.
local function find(id)
  return state.exchanges[id]
end

local function text_of(slice)
  return slice.size > 0 and ffi.string(slice.data, slice.size) or ''
end

-- The C library outlives the test files of a run, so the time is kept in one of its cells and never goes back.
local clock

local function later()
  local name = 'testing clock'
  clock = clock or real.cc_cell(name, #name)
  return real.cc_cell_add(clock, 10000000)
end

local function empty_cells()
  for number = 0, real.cc_cells() - 1 do
    if number ~= clock then
      real.cc_cell_set(number, 0)
      real.cc_cell_write(number, '', 0)
    end
  end
end

--- Resets the state: no exchanges, a later time, empty cells and limits.
---@return table state
function M.reset()
  local now = later()
  for name in each(state) do state[name] = nil end
  for name, value in each {
    now = now, time = 1795000000000, count = 0, events = {}, anchors = {}, lines = {}, origins = {}, exchanges = {},
    replies = {}, seed = 1, open = 0, open_elsewhere = 0, clocks = {}, pages = {}, jobs = {}, asked = {},
    count_jobs = 0, connect_checks = {},
  } do state[name] = value end
  empty_cells()
  real.cc_limits_clear()
  return state
end

--- Has a request come in.
---@param delay number milliseconds from now
---@param request table
---@return table exchange
function M.arrive(delay, request)
  local id = #state.exchanges + 1
  local path, query = (request.path or '/v1/messages'):match '^([^?]*)%??(.*)$'
  local exchange = {
    method = request.method or 'POST', path = path, query = query, headers = request.headers or {}, body = request.body
      or '',
    peer = request.peer or '127.0.0.1', complete = not request.body_after, body_after = request.body_after,
    decode_error = request.decode_error, features = request.features, refusal = request.refusal,
    slow_ms = request.slow_ms, at = state.now + delay,
    tries = {}, attempts = {}, set_headers = {},
  }
  state.exchanges[id] = exchange
  state.open = state.open + 1
  if request.gone_after then post(delay + request.gone_after, real.CC_EVENT_DONE, id) end
  if request.refusal then
    post(delay, real.CC_EVENT_DONE, id)
  else
    post(delay, real.CC_EVENT_READY, id, exchange.complete and 1 or 0)
  end
  return exchange
end

--- Makes a name that no test has used. The table of secrets never frees a name, so each test needs its own.
---@param name string
---@return string
function M.fresh(name)
  return name .. ' ' .. later()
end

--- Posts an event that is due now.
---@param kind integer
---@param id number
---@param detail integer
function M.post(kind, id, detail)
  post(0, kind, id, detail)
end

--- Moves the clock forward.
---@param milliseconds number
function M.advance(milliseconds)
  state.now = state.now + milliseconds
end

M.state, M.real = state, real
M.put, M.bytes, M.post_event, M.drop, M.next_event = put, bytes, post, drop, next_event
M.header_of, M.sorted, M.find, M.text_of = header_of, sorted, find, text_of

real.cc_share(1)
real.cc_records_make(64, 1)

return M
