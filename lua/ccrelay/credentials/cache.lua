-- SPDX-License-Identifier: Apache-2.0
-- The cache of access tokens and other fetched credentials, shared by all workers. It guarantees one fetch at a time,
-- however many requests and workers wait for it (single flight), renews credentials before they expire, and uses them
-- until they expire if the source is down.
local C = require 'ccrelay.c'
local cell = require 'ccrelay.shared.cell'
local ffi = require 'ffi'
local json = require 'ccrelay.util.json'
local task = require 'ccrelay.sched.task'
local waits = require 'ccrelay.sched.wait'

---@class ccrelay.Source a source of credentials
---@field name string unique; may contain digests of secrets, but no secret
---@field label string names the credentials in messages
---@field advisory_ms number? this long before they expire, they are renewed in the background
---@field mandatory_ms number? this long before they expire, requests wait for new ones
---@field fetch fun(): any, number|string|table|nil value and expiry (ms); or nil and a message or { message, final }

local M = {}

M.INTERRUPTED = 'another attempt had its outcome first'

local FOREVER = 2 ^ 52
local LEASE_MS = 120000
local POLL_MS = 20
local MOST_BYTES = 12 * 1024
local SHORTEST_MS, LONGEST_MS = 1000, 24 * 3600000
local RETRY_MS, LONGEST_RETRY_MS = 1000, 60000
local UNUSABLE_MS, LONGEST_UNUSABLE_MS, FINAL_MS = 1000, 15000, 30000

local entries = {} -- by the name of the source; of this process
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

-- Returns the value in force, which is decoded once per version; nil if there is none or it has expired.
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

-- Stores a fetched value. The windows for renewal are at most half of its life.
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
    return nil, source.label .. ': the value fetched is larger than ' .. MOST_BYTES .. ' bytes'
  end
  return true
end

local function note_success(source, entry, failures)
  entry.failures, entry.closed_until, entry.message, entry.final = 0, 0, nil, false
  if failures > 0 then entry.logger:line('info', 'credentials are fetched again', { 'source', source.label }) end
end

-- An outage is logged as one warning, however long it lasts; further failures are logged at level debug.
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
  entry.logger:say(before == 0 and 'warn' or 'debug', 'credentials cannot be fetched', {
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
  entry.logger:say('error', source.label .. ': ' .. tostring(kept))
  return nil, source.label .. ': fetching them failed with an error in the relay; see its log'
end

-- Tells whether another process has fetched since, or has failed to while the old value is still valid.
local function is_settled(entry, before)
  C.cc_secret_look(entry.number, state)
  if state.expires <= C.cc_time() then return false end
  return state.version ~= before.version or state.failures > before.failures
end

-- Ends a claim that is not needed any more by writing the same value again.
local function release(entry)
  local size = C.cc_secret_read(entry.number, bytes, MOST_BYTES, version)
  if size >= 0 then C.cc_secret_write(entry.number, bytes, size, state.expires) end
end

-- Waits for the right to fetch. Returns true if this process must fetch, false if another one has done so.
local function claim(entry, before)
  while not C.cc_secret_claim(entry.number, C.cc_now(), LEASE_MS) do
    task.sleep(POLL_MS)
    if is_settled(entry, before) then return false end
  end
  if not is_settled(entry, before) then return true end
  release(entry)
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
  for _, exchange in ipairs(waiters) do waits.post(exchange, waits.SECRET) end
end

local function start(source, entry, exchange)
  entry.logger = exchange.generation.logger
  if entry.running then return end
  entry.running = true
  task.start(work, source, entry)
end

-- ---- Asking ------------------------------------------------------------------------------------

-- Waits for the fetch. Returns nil when it is over; else a message: the patience ended, or an outcome came first.
local function wait(source, entry, exchange, patience, racing)
  start(source, entry, exchange)
  if not entry.running then return nil end
  table.insert(entry.waiters, exchange)
  local due = patience and C.cc_now() + patience
  local kinds = waits.SECRET + (due and waits.TIMER or 0) + (racing and waits.OUTCOME or 0)
  while entry.running do
    if due then C.cc_exchange_timer(exchange.relay, exchange.handle, math.max(due - C.cc_now(), 0)) end
    local kind, detail = waits.await(exchange, kinds)
    if kind == waits.OUTCOME then
      waits.keep(exchange, kind, detail)
      return M.INTERRUPTED
    end
    if due and C.cc_now() >= due then
      return string.format('%s: no answer came within %d ms', source.label, patience)
    end
  end
  if due then C.cc_exchange_timer(exchange.relay, exchange.handle, -1) end
  return nil
end

--- Returns the credentials of a source, and waits for them if they must be fetched. May only be called in the coroutine
--- of an exchange.
---@param exchange ccrelay.Exchange
---@param source ccrelay.Source
---@param patience number? how long to wait at most, in ms
---@param racing boolean? an outcome of another attempt ends the wait with the message M.INTERRUPTED
---@return any value nil if there are none
---@return string? message why not
---@return boolean? final true if retrying cannot help before a person acts
function M.get(exchange, source, patience, racing)
  local entry = entry_of(source)
  if not entry then return nil, source.label .. ': the table of secrets is full' end
  local held = current(entry)
  if held then
    local now = C.cc_time()
    local patient = now < held.wait or state.failures > 0 -- do not wait for a source that is down
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

--- Returns the version of the value that M.get returned last, for M.void.
---@param source ccrelay.Source
---@return integer
function M.version(source)
  local entry = entry_of(source)
  return entry and entry.version or 0
end

--- Voids a value that the service refused, so that the next request fetches a new one. Does nothing if the value has
--- been replaced already.
---@param source ccrelay.Source
---@param which integer the version, from M.version; attempts keep it in .credential
function M.void(source, which)
  local entry = entry_of(source)
  if not entry then return end
  C.cc_secret_void(entry.number, which)
  entry.closed_until = 0
end

---@class ccrelay.SourceState
---@field valid boolean whether there are credentials that have not expired
---@field valid_for_ms integer? nil if they do not expire
---@field failures integer how many fetches in a row have failed

--- Returns the state of a source's credentials, for /status.
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

--- To be called at a reload: voids credentials that do not expire, so that they are read again. Does nothing if another
--- worker has fetched them since.
---@param source ccrelay.Source
---@param since number when the reload began, as cc_now(), in ms
function M.renew(source, since)
  local entry = entry_of(source)
  if not entry then return end
  local held = current(entry)
  if held and held.static and held.fetched <= since then M.void(source, entry.version) end
  entry.closed_until = 0
end

return M
