-- SPDX-License-Identifier: Apache-2.0
-- Credentials that somebody has to be asked for: fetched once however many requests and workers wait
-- for them, renewed ahead of their end, and used to their end when the source is down.
local C = require 'ccrelay.c'
local cell = require 'ccrelay.shared.cell'
local ffi = require 'ffi'
local json = require 'ccrelay.util.json'
local task = require 'ccrelay.sched.task'
local turn = require 'ccrelay.sched.wait'

---@class ccrelay.Source where credentials come from
---@field name string tells it from every other one; secrets in it as digests only
---@field label string for messages
---@field advisory_ms number? so long before their end they are renewed in the background
---@field mandatory_ms number? so long before their end requests wait for new ones
---@field fetch fun(): any, number|string|table|nil the value and its end (cc_time), or nil and what is wrong

local M = {}

M.INTERRUPTED = 'an outcome came first'

local FOREVER = 2 ^ 52
local LEASE_MS = 120000
local POLL_MS = 20
local MOST_BYTES = 12 * 1024
local SHORTEST_MS, LONGEST_MS = 1000, 24 * 3600000
local RETRY_MS, LONGEST_RETRY_MS = 1000, 60000
local UNUSABLE_MS, LONGEST_UNUSABLE_MS, FINAL_MS = 1000, 15000, 30000

local entries = {} -- of this process, by name
local state = ffi.new 'struct cc_secret'
local bytes = ffi.new('char[?]', MOST_BYTES)
local version = ffi.new 'uint32_t[1]'

local function entry_of(source)
  local entry = entries[source.name]
  if not entry then
    local name = cell.fit(source.name)
    entry = { number = C.cc_secret(name, #name), waiters = {}, failures = 0, closed_until = 0 }
    if entry.number < 0 then return nil end
    entries[source.name] = entry
  end
  return entry
end

-- The value in force, decoded once for each version: nil when there is none, or its time is over.
local function current(entry)
  if C.cc_secret_look(entry.number, state) ~= C.CC_OK or state.expires <= C.cc_time() then return nil end
  if entry.version == state.version then return entry.held end
  local size = C.cc_secret_read(entry.number, bytes, MOST_BYTES, version)
  if size < 0 then return nil end
  entry.held, entry.version = json.decode(ffi.string(bytes, size)), version[0]
  return entry.held
end

-- ---- Fetching ----------------------------------------------------------------------------------

local function clamp(value, least, most)
  return math.min(math.max(value, least), most)
end

-- The windows are at most half of the life.
local function keep(source, entry, value, expires)
  local now = C.cc_time()
  local life = expires and clamp(expires - now, SHORTEST_MS, LONGEST_MS) or FOREVER - now
  local function ahead(window) return now + math.max(life - (window or 0), life / 2) end
  local held = {
    value = value, renew = ahead(source.advisory_ms), wait = ahead(source.mandatory_ms), fetched = C.cc_now(),
  }
  if not expires then held.renew, held.wait, held.static = FOREVER, FOREVER, true end
  local text = json.encode(held)
  if C.cc_secret_write(entry.number, text, #text, now + life) ~= C.CC_OK then
    return nil, source.label .. ': what was fetched is larger than ' .. MOST_BYTES .. ' bytes'
  end
  return true
end

local function note_success(source, entry, failures)
  entry.failures, entry.closed_until, entry.message, entry.final = 0, 0, nil, false
  if failures > 0 then entry.journal:line('info', 'credentials are fetched again', { 'source', source.label }) end
end

-- One warning for an outage, however long; what else was tried shows at level debug.
local function note_failure(source, entry, problem)
  local final = type(problem) == 'table' and problem.final or false
  local message = type(problem) == 'table' and problem.message or tostring(problem)
  C.cc_secret_look(entry.number, state)
  local before, now = state.failures, C.cc_time()
  local alive = state.expires > now
  C.cc_secret_fail(entry.number, now + math.min(RETRY_MS * 2 ^ math.min(before, 10), LONGEST_RETRY_MS))
  entry.failures = entry.failures + 1
  local pause = math.min(UNUSABLE_MS * 2 ^ math.min(entry.failures - 1, 10), LONGEST_UNUSABLE_MS)
  entry.closed_until, entry.message, entry.final = C.cc_now() + (final and FINAL_MS or pause), message, final
  entry.journal:say(before == 0 and 'warn' or 'debug', 'credentials cannot be fetched', {
    'source', source.label, 'reason', message, 'still_valid', alive,
  })
end

local function fetch_and_keep(source, entry)
  local value, more = source.fetch()
  if value == nil then return nil, more end
  return keep(source, entry, value, more)
end

local function call(source, entry)
  local ok, kept, problem = xpcall(fetch_and_keep, debug.traceback, source, entry)
  if ok then return kept, problem end
  entry.journal:say('error', source.label .. ': ' .. tostring(kept))
  return nil, source.label .. ': fetching them failed with an error of the relay; its log has more'
end

-- Whether another process has fetched it, or has failed to while what there is lives on.
local function is_settled(entry, before)
  C.cc_secret_look(entry.number, state)
  if state.expires <= C.cc_time() then return false end
  return state.version ~= before.version or state.failures > before.failures
end

-- A claim that came too late is ended by writing what is there once more.
local function let_go(entry)
  local size = C.cc_secret_read(entry.number, bytes, MOST_BYTES, version)
  if size >= 0 then C.cc_secret_write(entry.number, bytes, size, state.expires) end
end

-- True when this process is the one to fetch.
local function claim(entry, before)
  while not C.cc_secret_claim(entry.number, C.cc_now(), LEASE_MS) do
    task.sleep(POLL_MS)
    if is_settled(entry, before) then return false end
  end
  if not is_settled(entry, before) then return true end
  let_go(entry)
  return false
end

local function fetch(source, entry)
  C.cc_secret_look(entry.number, state)
  local before = { version = state.version, failures = state.failures }
  if not claim(entry, before) then return note_success(source, entry, 0) end
  local kept, problem = call(source, entry)
  if kept then return note_success(source, entry, before.failures) end
  return note_failure(source, entry, problem or source.label .. ': nothing was fetched')
end

local function work(source, entry)
  fetch(source, entry)
  entry.running = false
  local waiters = entry.waiters
  entry.waiters = {}
  for _, exchange in ipairs(waiters) do turn.post(exchange, turn.SECRET) end
end

local function start(source, entry, exchange)
  entry.journal = exchange.generation.journal
  if entry.running then return end
  entry.running = true
  task.start(work, source, entry)
end

-- ---- Asking ------------------------------------------------------------------------------------

-- Nil when it is over; else what came first: the end of patience, or an outcome of the exchange.
local function wait(source, entry, exchange, patience, racing)
  start(source, entry, exchange)
  if not entry.running then return nil end
  table.insert(entry.waiters, exchange)
  local due = patience and C.cc_now() + patience
  local kinds = turn.SECRET + (due and turn.TIMER or 0) + (racing and turn.OUTCOME or 0)
  while entry.running do
    if due then C.cc_exchange_timer(exchange.relay, exchange.handle, math.max(due - C.cc_now(), 0)) end
    local kind, detail = turn.await(exchange, kinds)
    if kind == turn.OUTCOME then
      turn.keep(exchange, kind, detail)
      return M.INTERRUPTED
    end
    if due and C.cc_now() >= due then return string.format('%s: nothing came within %d ms', source.label, patience) end
  end
  if due then C.cc_exchange_timer(exchange.relay, exchange.handle, -1) end
  return nil
end

--- The credentials of a source; waits for them if need be, patience milliseconds at most when given.
--- In the coroutine of an exchange.
---@param exchange ccrelay.Exchange
---@param source ccrelay.Source
---@param patience number?
---@param racing boolean? an outcome of another attempt ends the wait with M.INTERRUPTED
---@return any value
---@return string? message
---@return boolean? final somebody has to act before asking again is of use
function M.get(exchange, source, patience, racing)
  local entry = entry_of(source)
  if not entry then return nil, source.label .. ': there is no room for more credentials' end
  local held = current(entry)
  if held then
    local now = C.cc_time()
    local patient = now < held.wait or state.failures > 0 -- a source that is away is not waited for
    if now < held.renew or state.retry > now then return held.value end
    if patient then
      start(source, entry, exchange)
      return held.value
    end
  elseif C.cc_now() < entry.closed_until then
    return nil, entry.message, entry.final
  end
  local before = wait(source, entry, exchange, patience, racing)
  held = current(entry)
  if held then return held.value end
  if before then return nil, before end
  return nil, entry.message or source.label .. ': nothing was fetched', entry.final
end

--- Which value M.get gives at present, to be told M.void.
---@param source ccrelay.Source
---@return integer
function M.version(source)
  local entry = entry_of(source)
  return entry and entry.version or 0
end

--- The service refused a value: the next to ask has it fetched anew. When another one has taken its
--- place already, nothing happens.
---@param source ccrelay.Source
---@param which integer as M.version told; an attempt has it as .credential
function M.void(source, which)
  local entry = entry_of(source)
  if not entry then return end
  C.cc_secret_void(entry.number, which)
  entry.closed_until = 0
end

---@class ccrelay.SourceState
---@field valid boolean there are credentials that may be used
---@field valid_for_ms integer? nil: they have no end
---@field failures integer fetches that failed, in a row

--- What is known of a source's credentials, for status.
---@param source ccrelay.Source
---@return ccrelay.SourceState
function M.state(source)
  local entry = entry_of(source)
  if not entry or C.cc_secret_look(entry.number, state) ~= C.CC_OK then return { valid = false, failures = 0 } end
  local left = state.expires - C.cc_time()
  return {
    valid = left > 0, valid_for_ms = left > 0 and left <= LONGEST_MS and math.floor(left) or nil,
    failures = state.failures,
  }
end

--- A reload: what does not end by itself is read again, unless another worker has done so already.
---@param source ccrelay.Source
---@param since number cc_now() of the reload
function M.renew(source, since)
  local entry = entry_of(source)
  if not entry then return end
  local held = current(entry)
  if held and held.static and held.fetched <= since then M.void(source, entry.version) end
  entry.closed_until = 0
end

return M
