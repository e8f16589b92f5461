-- SPDX-License-Identifier: Apache-2.0
-- Reads the records of exchanges from the shared ring (runtime/api/record.h), as tables. log/record_writer.lua writes
-- them.
local C = require 'ccrelay.c'
local ffi = require 'ffi'
local record_writer = require 'ccrelay.log.record_writer'

---@class ccrelay.Record an exchange as read; what is not known is nil
---@field number integer counts up from 0
---@field id string as in the access log; "number-N" if the log has no line of it
---@field upstream_id string? request id that the provider gave
---@field at number ms since 1970 when it began
---@field client string?
---@field group string? of the client
---@field endpoint string? messages, count_tokens or passthrough
---@field class string? of the request, as Claude Code declares it
---@field model string? that the client asked for
---@field stream boolean
---@field status integer? that the client got
---@field error string? as in the access log
---@field refused boolean refused without an attempt
---@field provider string? whose answer the client got
---@field key string? id of its key
---@field sent_model string? the name under which it got the model
---@field switched 'key'|'org'|'provider'|nil what changed since the conversation's last request
---@field switch_tokens number? tokens of the prompt cache that were lost by that
---@field total_ms number
---@field first_byte_ms number?
---@field queued_ms number?
---@field own_ms number? that the relay added to the time of the upstream
---@field request_bytes number
---@field response_bytes number
---@field changed_bytes number? of the request, by edits
---@field tokens { input: number, output: number, cache_read: number, cache_write_5m: number, cache_write_1h: number }?
---@field tier 'priority'|'batch'|nil by which the provider served it; nil: standard
---@field fast boolean whether it was served in fast mode
---@field cost number? in the currency of routing.prices
---@field attempts ccrelay.RecordAttempt[]
---@field attempts_made integer with those that had no room in the record
---@field candidates ccrelay.RecordCandidate[] in the order in which they were to be asked, then those left out
---@field worker integer slot
---@field generation integer number of the configuration in force
---@field trace_id string?
---@field span_id string?
---@field parent_span_id string? of the client's span
---@field open boolean whether it is under way
---@field cut boolean whether something had no room

---@class ccrelay.RecordAttempt
---@field provider string
---@field key string
---@field model string?
---@field at_ms number since the begin of the exchange
---@field total_ms number?
---@field first_byte_ms number? until the response head
---@field status integer?
---@field error string?
---@field detail string?
---@field raced boolean cancelled because another was faster
---@field unsent boolean
---@field span_id string?

---@class ccrelay.RecordCandidate
---@field provider string
---@field key string
---@field model string?
---@field reason string? why it was left out
---@field lack string? the limit or feature in question
---@field ready_ms number? when it could have served, from the begin of the exchange
---@field priority integer

local M = {}

M.write = record_writer.write

local TIERS = { [C.CC_PRIORITY] = 'priority', [C.CC_BATCH] = 'batch' }

local found = ffi.new 'struct cc_record'

local function text_at(place)
  local size = math.floor(place / 65536)
  return size > 0 and ffi.string(found.text + place % 65536, size) or nil
end

local function known(value) return value >= 0 and value or nil end

local function above_zero(value) return value > 0 and value or nil end

local function rounded(milliseconds) return math.floor(milliseconds * 10 + 0.5) / 10 end

local function time(milliseconds) return milliseconds >= 0 and rounded(milliseconds) or nil end

local function provider_of(key) return key and string.match(key, '^[^/]+') end

-- Span ids of an exchange differ in their last four digits (exchange/trace.lua).
local function span_of(place)
  return place.span > 0 and string.sub(text_at(found.span_id), 1, 12) .. ('%04x'):format(place.span) or nil
end

local function attempt_at(index)
  local place = found.attempt[index]
  local key = text_at(place.key)
  return {
    provider = provider_of(key), key = key, model = text_at(place.model), at_ms = rounded(place.at_ms),
    total_ms = time(place.total_ms), first_byte_ms = time(place.first_byte_ms), status = above_zero(place.status),
    error = text_at(place.error), detail = text_at(place.detail), raced = place.raced, unsent = place.unsent,
    span_id = span_of(place),
  }
end

local function candidate_at(index)
  local place = found.candidate[index]
  local key = text_at(place.key)
  return {
    provider = provider_of(key), key = key, model = text_at(place.model), reason = text_at(place.reason),
    lack = text_at(place.lack), ready_ms = time(place.ready_ms), priority = place.priority,
  }
end

local function list_of(count, at)
  local list = {}
  for index = 0, count - 1 do list[index + 1] = at(index) end
  return list
end

local function tokens()
  if not found.usage_known then return nil end
  return {
    input = found.input_tokens, output = found.output_tokens, cache_read = found.cache_read_tokens,
    cache_write_5m = found.cache_write_5m_tokens, cache_write_1h = found.cache_write_1h_tokens,
  }
end

local function id_of()
  return text_at(found.id) or 'number-' .. found.number
end

local function decoded()
  return {
    number = found.number, id = id_of(), upstream_id = text_at(found.upstream_id), at = rounded(found.at),
    client = text_at(found.client), group = text_at(found.group),
    endpoint = text_at(found.endpoint), class = text_at(found.class_name),
    model = text_at(found.model), stream = found.stream, status = above_zero(found.status),
    error = text_at(found.error), refused = found.refused, provider = text_at(found.provider),
    key = text_at(found.key), sent_model = text_at(found.sent_model), switched = text_at(found.switched),
    switch_tokens = known(found.switch_tokens), total_ms = rounded(found.total_ms),
    first_byte_ms = above_zero(rounded(found.first_byte_ms)), queued_ms = above_zero(rounded(found.queued_ms)),
    own_ms = time(found.own_ms), request_bytes = found.request_bytes, response_bytes = found.response_bytes,
    changed_bytes = known(found.changed_bytes), tokens = tokens(), tier = TIERS[found.tier], fast = found.fast,
    cost = known(found.cost),
    attempts = list_of(found.attempts, attempt_at), attempts_made = found.attempts_made,
    candidates = list_of(found.candidates, candidate_at), worker = found.worker, generation = found.generation,
    trace_id = text_at(found.trace_id), span_id = text_at(found.span_id),
    parent_span_id = text_at(found.parent_span_id), open = found.open, cut = found.cut,
  }
end

-- By number: since when (cc_now) a record was waited for that is not complete. Writing takes microseconds: after
-- PATIENCE_MS its writer must have died.
local missing = {}
local PATIENCE_MS = 1000

local function is_given_up(number)
  local since = missing[number]
  if not since then
    missing[number] = C.cc_now()
    return false
  end
  return C.cc_now() - since >= PATIENCE_MS
end

--- Returns the records from a number on, oldest first. The first that is still being written ends the list.
---@param from integer number of the first; 0: the oldest
---@param most integer how many at most
---@return ccrelay.Record[] list
---@return integer next the number to go on from
---@return integer lost how many in between were overwritten before this call, or died with their writer
function M.read(from, most)
  local list, after = {}, C.cc_records_next()
  local number = math.max(from, after - C.cc_records_kept())
  local lost = number - from
  while number < after and #list < most do
    local code = C.cc_record_read(number, found)
    if code == C.CC_ESTATE and not is_given_up(number) then break end
    if missing[number] then missing[number] = nil end
    if code == C.CC_OK then list[#list + 1] = decoded() else lost = lost + 1 end
    number = number + 1
  end
  return list, math.min(number, after), lost
end

--- Calls visit(record) for each record that is kept, newest first, until it returns true.
---@param visit fun(record: ccrelay.Record): boolean?
function M.newest(visit)
  local after = C.cc_records_next()
  for number = after - 1, math.max(after - C.cc_records_kept(), 0), -1 do
    if C.cc_record_read(number, found) == C.CC_OK and visit(decoded()) then return end
  end
end

-- Ids in answers that the relay gave itself; the second of a refused encoding.
local OWN_ID, OWN_CODING_ID = '^req_ccr_(%x+)$', '^ccr_(%x+)$'

local NUMBERED = '^number%-(%d+)$'

--- Finds the newest record with an id: of the access log, or as the client got it in the header request-id.
---@param id string
---@return ccrelay.Record?
function M.find(id)
  id = string.match(id, OWN_ID) or string.match(id, OWN_CODING_ID) or id
  local named = tonumber(string.match(id, NUMBERED))
  if named then return C.cc_record_read(named, found) == C.CC_OK and not text_at(found.id) and decoded() or nil end
  local after = C.cc_records_next()
  for number = after - 1, math.max(after - C.cc_records_kept(), 0), -1 do
    local is_read = C.cc_record_read(number, found) == C.CC_OK
    if is_read and (text_at(found.id) == id or text_at(found.upstream_id) == id) then return decoded() end
  end
  return nil
end

local facts = ffi.new 'struct cc_worker'

-- The list of a worker that has died stays until its replacement publishes one.
local function is_alive(worker)
  return C.cc_worker(worker, facts) == C.CC_OK and facts.pid > 0
end

--- Returns the exchanges under way, as each worker published them within the last half second: up to CC_RECORDS_OPEN of
--- each.
---@return ccrelay.Record[] list oldest first
function M.open()
  local list = {}
  for worker = 0, C.CC_RECORD_WORKERS - 1 do
    for index = 0, is_alive(worker) and C.cc_open_count(worker) - 1 or -1 do
      if C.cc_open_read(worker, index, found) == C.CC_OK then list[#list + 1] = decoded() end
    end
  end
  table.sort(list, function(a, b) return a.at < b.at end)
  return list
end

--- How many records are kept at most, and how many there are.
---@return integer most 0: none are kept
---@return integer count
function M.kept()
  local most = C.cc_records_kept()
  return most, math.min(most, C.cc_records_next())
end

return M
