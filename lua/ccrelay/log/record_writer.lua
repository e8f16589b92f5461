-- SPDX-License-Identifier: Apache-2.0
-- Writes records of exchanges into shared memory (runtime/api/record.h): of each that has ended, and of those under
-- way. It guarantees that a record holds no prompt, body, path, file name or secret.
local C = require 'ccrelay.c'
local access = require 'ccrelay.log.access'
local bit = require 'bit'
local each = require 'ccrelay.util.each'
local ffi = require 'ffi'

local M = {}

local record = ffi.new 'struct cc_record'
local room = ffi.cast('char *', record.text)
local HEAD_BYTES = ffi.offsetof('struct cc_record', 'text')
local LONGEST = 128 -- bytes of a text
local MOST_CANDIDATES, MOST_ATTEMPTS = C.CC_RECORD_CANDIDATES, C.CC_RECORD_ATTEMPTS

-- Fields of FFI structs are fast only in compiled code, and LuaJIT does not compile functions with short loops. So
-- whatever every exchange passes has no loop; lists of one element have a way of their own.

-- The length at which a text of more than most bytes is cut, not within a UTF-8 character.
local function shortened(value, most)
  record.cut = true
  while most > 0 and bit.band(string.byte(value, most + 1), 0xc0) == 0x80 do most = most - 1 end
  return most
end

-- Appends a text; returns what the field of the record gets.
local function put(value)
  if not value then return 0 end
  local at, size = record.text_bytes, #value
  if size > LONGEST then size = shortened(value, LONGEST) end
  if at + size > C.CC_RECORD_TEXT_BYTES then size = shortened(value, C.CC_RECORD_TEXT_BYTES - at) end
  ffi.copy(room + at, value, size)
  record.text_bytes = at + size
  return at + size * 65536
end

-- The model that the client asked for was cleaned and put before.
local function put_model(model, cache, clean)
  if model == cache.original_model then return record.model end
  return put(model and clean(model))
end

-- An exchange whose id nobody has asked for is known by its number.
local function put_request(exchange, cache, clean)
  record.id = put(cache.id)
  record.client = put(exchange.client.name)
  record.group = put(exchange.client.group)
  record.endpoint = put(exchange.endpoint)
  record.class_name = put(cache.class and clean(cache.class))
  record.model = put(cache.original_model and clean(cache.original_model))
  record.stream = cache.stream or false
  record.queued_ms = exchange.queue and exchange.queue.waited_ms or 0
  record.refused = exchange.log and exchange.log.refused or false
  record.generation = exchange.generation.number or 0
end

local function put_report(exchange, report)
  record.at = C.cc_time() - report.total_ms
  record.status = report.status
  record.error = put(access.error_of(exchange, report))
  record.total_ms = report.total_ms
  record.first_byte_ms = report.first_byte_ms
  if report.content_ms > 0 then record.own_ms = report.own_ms end
  record.request_bytes = report.request_bytes
  record.response_bytes = report.response_bytes
  record.attempts_made = report.attempts
end

local function put_usage(report)
  if not report.usage_known then return end
  local usage = report.usage
  record.usage_known = true
  record.input_tokens = usage.input
  record.output_tokens = usage.output
  record.cache_read_tokens = usage.cache_read
  record.cache_write_5m_tokens = usage.cache_5m
  record.cache_write_1h_tokens = usage.cache_1h
  record.tier, record.fast = usage.tier, usage.fast
end

-- Only what is to be exported. What the client does not want sampled is not.
local function put_trace(trace)
  if not trace.sampled then return end
  record.trace_id = put(trace.id)
  record.span_id = put(trace.prefix .. '0000')
  record.parent_span_id = put(trace.parent)
end

local function span_of(exchange, attempt)
  local trace = exchange.trace
  return trace and trace.sampled and trace.spans[attempt] or 0
end

local function put_upstream(upstream, attempt, cache, clean)
  local key = upstream.key
  record.provider = put(key.provider.name)
  record.key = put(key.id)
  record.sent_model = put_model(upstream.model, cache, clean)
  record.upstream_id = put(attempt.request_id)
end

-- An upstream that served has its texts in the record already.
local function put_key(place, upstream, served, clean)
  if upstream == served then
    place.key, place.model = record.key, record.sent_model
  else
    place.key, place.model = put(upstream.key.id), put(upstream.model and clean(upstream.model))
  end
end

local function next_attempt()
  local index = record.attempts
  if index == MOST_ATTEMPTS then
    record.cut = true
    return record.attempt[index - 1] -- the last attempt tells more than those before it
  end
  record.attempts = index + 1
  return record.attempt[index]
end

local function put_cause(place, outcome, clean)
  local name, detail = outcome.event and outcome.type or outcome.error or outcome.type, outcome.detail
  place.error = put(name)
  place.detail = put(detail and detail ~= '' and clean(detail))
end

-- The attempt whose answer the client got.
local function put_chosen(exchange, attempt, outcome, report, clean)
  local place, upstream = next_attempt(), attempt.upstream
  place.span = span_of(exchange, attempt)
  put_key(place, upstream, upstream, clean)
  place.error, place.detail = 0, 0
  if not outcome.ok then put_cause(place, outcome, clean) end
  place.at_ms = attempt.began - report.started
  place.total_ms = report.total_ms - place.at_ms
  place.first_byte_ms = attempt.head_ms
  place.status = report.status
  place.raced, place.unsent = false, false
end

local function put_failed(exchange, outcome, started, served, clean)
  local attempt, place = outcome.attempt, next_attempt()
  place.span = span_of(exchange, attempt)
  put_key(place, outcome.upstream, served, clean)
  put_cause(place, outcome, clean)
  place.at_ms = attempt.began - started
  place.total_ms, place.first_byte_ms = attempt.gate_ms, attempt.head_ms
  place.status = outcome.status or 0
  place.raced, place.unsent = false, not outcome.sent
end

local function put_loser(exchange, loser, started, served, clean)
  local place = next_attempt()
  place.span = span_of(exchange, loser.attempt)
  put_key(place, loser.upstream, served, clean)
  place.error, place.detail = 0, 0
  place.at_ms, place.total_ms, place.first_byte_ms = loser.began - started, loser.total_ms, -1
  place.status, place.raced, place.unsent = 0, true, false
end

local function put_attempts(exchange, report, chosen, served, clean)
  for _, outcome in ipairs(exchange.outcomes) do
    if chosen and outcome.attempt == chosen then
      put_chosen(exchange, chosen, outcome, report, clean)
    else
      put_failed(exchange, outcome, report.started, served, clean)
    end
  end
  for _, loser in ipairs(exchange.losers or {}) do put_loser(exchange, loser, report.started, served, clean) end
end

local function put_candidate(upstream, served, clean)
  local index = record.candidates
  if index == MOST_CANDIDATES then
    record.cut = true
    return
  end
  record.candidates = index + 1
  local place = record.candidate[index]
  put_key(place, upstream, served, clean)
  place.reason, place.lack, place.ready_ms = 0, 0, -1
  place.priority = upstream.key.priority
end

local function put_candidates(list, served, clean)
  for _, upstream in ipairs(list) do put_candidate(upstream, served, clean) end
end

-- The index of a key among the candidates, those of the list first.
local function place_of(list, key)
  for index, upstream in ipairs(list) do
    if upstream.key == key then return index - 1 end
  end
  return record.candidates
end

local function put_excluded(list, excluded, started, served, clean)
  for _, one in ipairs(excluded) do
    local index = place_of(list, one.key)
    if index == record.candidates then put_candidate(one, served, clean) end
    if index < record.candidates then
      local place = record.candidate[index]
      place.reason, place.lack = put(one.reason), put(one.lack)
      place.ready_ms = one.ready and math.max(one.ready - started, 0) or -1
    end
  end
end

local NONE = {}

local function put_selection(selection, started, served, clean)
  local list = selection.known or NONE
  if #list == 1 then put_candidate(list[1], served, clean) else put_candidates(list, served, clean) end
  if selection.excluded then put_excluded(list, selection.excluded, started, served, clean) end
end

local function put_tries(exchange, report, chosen, served, clean)
  if chosen and #exchange.outcomes == 1 and not exchange.losers then
    put_chosen(exchange, chosen, exchange.outcomes[1], report, clean)
  else
    put_attempts(exchange, report, chosen, served, clean)
  end
  if exchange.selection then put_selection(exchange.selection, report.started, served, clean) end
end

local function clear()
  ffi.fill(record, HEAD_BYTES)
  record.switch_tokens, record.own_ms = -1, -1
end

local function put_result(outcomes, cost, switched, switch_tokens)
  local last = outcomes[#outcomes]
  record.changed_bytes, record.cost = last and last.changed_bytes or -1, cost or -1
  if switched then record.switched, record.switch_tokens = put(switched), switch_tokens or -1 end
end

local function is_kept(exchange)
  return C.cc_records_kept() > 0 and not (exchange.log and exchange.log.minor)
end

-- Two functions, because LuaJIT does not compile one as long as both.
local function put_head(exchange, report)
  clear()
  put_request(exchange, exchange.cache, exchange.generation.logger.clean)
  put_report(exchange, report)
  put_usage(report)
end

local function put_rest(exchange, report, chosen, cost, switched, switch_tokens)
  local clean, served = exchange.generation.logger.clean, chosen and chosen.upstream
  if served then put_upstream(served, chosen, exchange.cache, clean) end
  put_result(exchange.outcomes, cost, switched, switch_tokens)
  if exchange.trace then put_trace(exchange.trace) end
  put_tries(exchange, report, chosen, served, clean)
  C.cc_record_write(record)
end

--- Writes the record of an exchange that has ended. Exchanges of monitors and scanners get none.
---@param exchange ccrelay.Exchange
---@param report ffi.cdata* struct cc_report
---@param chosen ccrelay.Attempt|false|nil the attempt whose answer the client got
---@param cost number? in the currency of routing.prices; nil: unknown
---@param switched string? what changed since the conversation's last request: 'key', 'org' or 'provider'
---@param switch_tokens number? tokens of the prompt cache that were lost by that
function M.write(exchange, report, chosen, cost, switched, switch_tokens)
  if not is_kept(exchange) then return end
  put_head(exchange, report)
  put_rest(exchange, report, chosen, cost, switched, switch_tokens)
end

-- ---- Exchanges under way -----------------------------------------------------------------------

local request = ffi.new 'struct cc_request'

local function put_running(exchange, attempt, started, clean)
  local place, upstream = next_attempt(), attempt.upstream
  place.span = span_of(exchange, attempt)
  put_key(place, upstream, nil, clean)
  place.error, place.detail, place.at_ms = 0, 0, attempt.began - started
  place.total_ms, place.first_byte_ms = -1, attempt.head_ms
  place.status, place.raced, place.unsent = 0, false, false
end

local function put_open_attempts(exchange, started, clean)
  local own = exchange.attempts
  for _, outcome in ipairs(exchange.outcomes) do
    if not outcome.ok then put_failed(exchange, outcome, started, nil, clean) end
  end
  for _, loser in ipairs(exchange.losers or NONE) do put_loser(exchange, loser, started, nil, clean) end
  for _, place in ipairs { 'first', 'second' } do
    local attempt = own and own[place]
    if attempt and attempt.open then put_running(exchange, attempt, started, clean) end
  end
end

local function put_open(exchange, now)
  if C.cc_request(exchange.relay, exchange.handle, request) ~= C.CC_OK then return false end
  local clean, started, chosen = exchange.generation.logger.clean, request.started, exchange.attempts
  chosen = chosen and chosen.chosen
  clear()
  put_request(exchange, exchange.cache, clean)
  if record.id == 0 then record.id = put(exchange.id) end
  record.open, record.changed_bytes, record.cost = true, -1, -1
  record.at, record.total_ms = C.cc_time() - (now - started), now - started
  record.request_bytes, record.attempts_made = request.body_bytes, #exchange.outcomes
  if chosen then put_upstream(chosen.upstream, chosen, exchange.cache, clean) end
  put_open_attempts(exchange, started, clean)
  if exchange.selection then put_selection(exchange.selection, started, nil, clean) end
  return true
end

--- Publishes the exchanges under way in this worker, in the place of those of the last call.
---@param exchanges table<number, ccrelay.Exchange>
---@return integer count how many, at most CC_RECORDS_OPEN
function M.publish(exchanges)
  local count, now = 0, C.cc_now()
  for _, exchange in each(exchanges) do
    if count < C.CC_RECORDS_OPEN and is_kept(exchange) and put_open(exchange, now) then
      C.cc_open_write(count, record)
      count = count + 1
    end
  end
  C.cc_open_publish(count)
  return count
end

return M
