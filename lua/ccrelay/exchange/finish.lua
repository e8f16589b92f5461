-- SPDX-License-Identifier: Apache-2.0
-- The end of an exchange: limits settled with what was really used, health, figures, one log line.
local C = require 'ccrelay.c'
local respond = require 'ccrelay.exchange.respond'
local attempts = require 'ccrelay.exchange.attempt'
local bit = require 'bit'
local reservation = require 'ccrelay.limits.reservation'
local token_estimate = require 'ccrelay.limits.token_estimate'
local cell = require 'ccrelay.shared.cell'
local clients = require 'ccrelay.limits.clients'
local handle = require 'ccrelay.script.handle'
local ffi = require 'ffi'
local affinity = require 'ccrelay.routing.affinity'
local learn = require 'ccrelay.health.learn'
local members = require 'ccrelay.script.members'
local wait_queue = require 'ccrelay.routing.wait_queue'
local count_coalescing = require 'ccrelay.exchange.count_coalescing'
local call = require 'ccrelay.script.call'

local M = {}

local report = ffi.new 'struct cc_report'
local request = ffi.new 'struct cc_request'
local MUCH_KB = 32 * 1024
local LONGEST_WHY, MOST_WORDS = 300, 16 * 1024

-- Whether there were faults since the last M.clean_up, and those of them that are a policy's own.
M.faulted = false
M.faults = {}

local function text(slice)
  return slice.size > 0 and ffi.string(slice.data, slice.size) or ''
end

-- ---- Faults of scripts -------------------------------------------------------------------------

--- What a script has taken and left must not be what the next one is short of. To be called when its
--- coroutine is gone.
function M.clean_up()
  M.faulted, M.faults = false, {}
  if collectgarbage 'count' > MUCH_KB then collectgarbage() end
end

-- Where in its policy an exchange was, from the traceback.
local function place_of(exchange, traceback)
  local strategy = exchange.generation.strategy
  for place in string.gmatch(traceback, '%f[%S]%S+%.lua:%d+') do
    if string.match(place, '([^/]*)%.lua:%d+$') == strategy then return place end
  end
  return exchange.generation.strategy
end

local function blame(exchange, words, traceback)
  if exchange.endpoint ~= 'messages' or call.was_adapter() then return end
  if not string.find(words, '^[^\n]-:%d+: ') then words = place_of(exchange, traceback) .. ': ' .. words end
  local generation = exchange.generation
  local why = generation.journal.clean(string.sub(words, 1, MOST_WORDS))
  table.insert(M.faults, { generation = generation, why = string.sub(why, 1, LONGEST_WHY) })
end

--- An error in the coroutine of an exchange: 500 with its id, the words and the way there in the log.
---@param exchange ccrelay.Exchange
---@param message any
---@param traceback string
function M.fault(exchange, message, traceback)
  local words = type(message) == 'string' and message or 'an error that is a ' .. type(message)
  exchange.script_error = words
  if not exchange.ended then exchange.failure = 'script' end
  cell.add('count:script_errors', 1)
  M.faulted = true
  blame(exchange, words, traceback)
  exchange.generation.journal:say('error', 'script error: ' .. words,
    { 'id', exchange.id, 'traceback', traceback }, 4)
  if exchange.ended then return end
  if exchange.answered then
    C.cc_answer_break(exchange.relay, exchange.handle, false, '', 0)
    return
  end
  local ok = pcall(respond.error, exchange, 500, 'the relay failed on this request; its log tells why under '
    .. respond.request_id(exchange), { failure = 'script' })
  if not ok then C.cc_answer_break(exchange.relay, exchange.handle, false, '', 0) end
end

-- ---- Settling ----------------------------------------------------------------------------------

local function settle(exchange, attempt)
  if not attempt then return end
  local is_chosen = attempt == exchange.chosen
  if is_chosen and attempt.counted then learn.from_end(exchange, attempt, report) end
  if is_chosen and attempt.tickets then
    reservation.close(exchange, attempt, report)
  elseif attempt.open and not is_chosen then
    attempts.drop(exchange, attempt)
  end
end

-- Whether the bytes of the request are those of which the tokens are told.
local function is_text(exchange)
  local elsewhere = bit.band(exchange.cache.feature_bits or 0, C.CC_HAS_IMAGE_URL + C.CC_HAS_PDF) ~= 0
  return not (elsewhere or exchange.media or exchange.edits)
end

local function calibrate_input(exchange, model)
  local usage = report.usage
  local written = usage.input + usage.cache_5m + usage.cache_1h
  local tokens = written + usage.cache_read
  if is_text(exchange) then token_estimate.learn(model, report.request_bytes, tokens) end
  if bit.band(exchange.cache.feature_bits or 0, C.CC_HAS_CACHE_CONTROL) ~= 0 then
    token_estimate.learn_new(model, written, tokens)
  end
end

-- What the answer tells of the size of tokens and answers. From one that is whole and tells nothing it is
-- known that there is nothing to wait for.
local function calibrate(exchange)
  local model = exchange.endpoint == 'messages' and exchange.chosen and exchange.cache.model
  if not model or report.status ~= 200 then return end
  if report.usage_known then calibrate_input(exchange, model) end
  if not report.usage_final and report.error ~= C.CC_OK then return end
  local most = exchange.cache.max_tokens or 0
  local output = report.usage_final and report.usage.output or token_estimate.output(model)
  token_estimate.learn_output(model, most > 0 and math.min(output, most) or output)
end

-- ---- Figures -----------------------------------------------------------------------------------

local STATUS = {}
for class = 1, 9 do STATUS[class] = 'count:status_' .. class .. 'xx' end

local names = {}

-- The counters of a provider, whose names are put together once.
local function names_of(provider)
  local found = names[provider]
  if not found then
    found = {}
    for _, what in ipairs { 'attempts', 'failures', 'tokens_input', 'tokens_cached', 'tokens_output' } do
      found[what] = 'count:' .. what .. ':' .. provider
    end
    names[provider] = found
  end
  return found
end

local function count_losers(losers)
  for _, loser in ipairs(losers) do cell.add(names_of(loser.upstream.provider).attempts, 1) end
end

local function count(exchange, provider)
  cell.add('count:exchanges', 1)
  cell.add(STATUS[math.floor(report.status / 100)] or 'count:status_none', 1)
  cell.add('count:attempts', report.attempts)
  if exchange.refused then cell.add('count:refused', 1) end
  if exchange.malformed then cell.add('count:malformed', 1) end
  for _, outcome in ipairs(exchange.trail) do
    local name = names_of(outcome.upstream.provider)
    cell.add(name.attempts, 1)
    if not outcome.ok then cell.add(name.failures, 1) end
  end
  if exchange.raced then count_losers(exchange.raced) end
  if provider and report.usage_known then
    local usage, name = report.usage, names_of(provider)
    cell.add(name.tokens_input, usage.input + usage.cache_5m + usage.cache_1h)
    cell.add(name.tokens_cached, usage.cache_read)
    cell.add(name.tokens_output, usage.output)
  end
end

-- ---- The line ----------------------------------------------------------------------------------

local function trail_of(exchange)
  local parts = {}
  for index, outcome in ipairs(exchange.trail) do
    local what = outcome.event and outcome.type or outcome.error or outcome.status
    parts[index] = outcome.upstream.key_id .. ':' .. tostring(what)
  end
  return #parts > 0 and table.concat(parts, ',') or nil
end

-- Who was called off because another was quicker.
local function raced_of(exchange)
  if not exchange.raced then return nil end
  local keys = {}
  for index, loser in ipairs(exchange.raced) do keys[index] = loser.upstream.key_id end
  return table.concat(keys, ',')
end

local function error_of(exchange)
  if exchange.failure then return exchange.failure end
  if text(report.stream_error) ~= '' then return text(report.stream_error) end
  return report.error ~= C.CC_OK and ffi.string(C.cc_error_name(report.error)) or nil
end

-- What TLS or the system said of the first attempt that failed by it.
local function detail_of(exchange)
  for _, outcome in ipairs(exchange.trail) do
    if not outcome.ok and outcome.detail and outcome.detail ~= '' then return outcome.detail end
  end
end

local fields = {}

local function put(at, name, value)
  fields[at + 1], fields[at + 2] = name, value
  return at + 2
end

local function put_usage(at)
  if not report.usage_known then return at end
  local usage = report.usage
  at = put(at, 'input_tokens', usage.input)
  at = put(at, 'output_tokens', usage.output)
  at = put(at, 'cache_read_tokens', usage.cache_read)
  return put(at, 'cache_write_tokens', usage.cache_5m + usage.cache_1h)
end

local function round(milliseconds)
  return math.floor(milliseconds * 10 + 0.5) / 10
end

local function put_answer(exchange, at)
  local detail = detail_of(exchange)
  at = put(at, 'status', report.status)
  at = put(at, 'attempts', report.attempts)
  at = put(at, 'tried', trail_of(exchange))
  at = put(at, 'raced', raced_of(exchange))
  at = put(at, 'error', error_of(exchange))
  at = put(at, 'detail', detail and exchange.generation.journal.clean(detail) or nil)
  if exchange.queued_ms then at = put(at, 'queued_ms', round(exchange.queued_ms)) end
  at = put(at, 'first_byte_ms', round(report.first_byte_ms))
  at = put(at, 'total_ms', round(report.total_ms))
  at = put(at, 'request_bytes', report.request_bytes)
  return put(at, 'response_bytes', report.response_bytes)
end

local function is_served() return report.status >= 200 and report.status < 300 end

local LEFT = { [C.CC_OK] = true, [C.CC_ECANCELLED] = true, [C.CC_ECLIENT_GONE] = true }

-- An answer that broke off, and not because its client left, is a warning.
local function level_of(exchange)
  if exchange.chosen and (report.stream_error.size > 0 or not LEFT[report.error]) then return 'warn' end
  return exchange.minor and 'debug' or 'info'
end

local function write_line(exchange, upstream)
  local journal, cache, level = exchange.generation.journal, exchange.cache, level_of(exchange)
  if not journal:writes(level) then return end
  local at = put(0, 'id', exchange.id)
  at = put(at, 'client', exchange.client)
  at = put(at, 'peer', exchange.peer)
  at = put(at, 'method', exchange.method)
  at = put(at, 'path', journal.clean(exchange.path))
  at = put(at, 'model', cache.model and journal.clean(cache.model) or nil)
  at = put(at, 'stream', cache.stream or report.stream)
  at = put(at, 'provider', upstream and upstream.provider or nil)
  at = put(at, 'key', upstream and upstream.key_id or nil)
  at = put(at, 'switched', upstream and is_served() and affinity.switch(exchange, upstream.slot) or nil)
  at = put_answer(exchange, at)
  at = put_usage(at)
  local chosen = exchange.trail[#exchange.trail]
  at = put(at, 'changed_bytes', chosen and chosen.changed_bytes or nil)
  at = put(at, 'prefix_broken', exchange.prefix_broken or nil)
  journal:line(level, 'exchange', fields, at)
end

-- ---- The policy's own end ----------------------------------------------------------------------

local REPORT = {}
for _, name in ipairs {
  'status', 'error', 'attempts', 'upstream', 'first_byte_ms', 'total_ms', 'usage_known', 'input_tokens',
  'output_tokens', 'cache_read_tokens', 'cache_write_tokens', 'cache_write_1h_tokens', 'raced',
} do REPORT[name] = true end

local Report = { __metatable = false }

function Report.__index(_, name)
  if not REPORT[name] then error(members.unknown('a report', name, REPORT), 2) end
end

local function shown(losers)
  local list = {}
  for index, loser in ipairs(losers) do
    list[index] = { upstream = handle.of(loser.upstream), input_tokens = loser.input_tokens }
  end
  return list
end

local function tell_policy(exchange, upstream)
  local on_done = exchange.generation.policy.on_done
  if not on_done or exchange.endpoint ~= 'messages' then return end
  local usage = report.usage
  local facts = {
    status = report.status, error = error_of(exchange), attempts = report.attempts, upstream = handle.of(upstream),
    first_byte_ms = report.first_byte_ms, total_ms = report.total_ms, usage_known = report.usage_known,
    input_tokens = usage.input,
    output_tokens = report.usage_known and reservation.output(report, upstream and upstream.model) or 0,
    cache_read_tokens = usage.cache_read,
    cache_write_tokens = usage.cache_5m + usage.cache_1h, cache_write_1h_tokens = usage.cache_1h,
    raced = exchange.raced and shown(exchange.raced) or nil,
  }
  local ok, message = call.pcall(call.policy, on_done, handle.of(exchange), setmetatable(facts, Report))
  if not ok then M.fault(exchange, message, '') end
end

-- Calls of C are cheap only where they are compiled, which a function with short loops is not: they
-- stand in one of their own.
local function read_report(exchange)
  return C.cc_report(exchange.relay, exchange.handle, report) == C.CC_OK
end

local function read_request(exchange)
  return C.cc_request(exchange.relay, exchange.handle, request) == C.CC_OK
end

--- Closes the books on an exchange whose DONE event has come.
---@param exchange ccrelay.Exchange
function M.finish(exchange)
  if not read_report(exchange) then return end
  if read_request(exchange) and request.error ~= C.CC_OK then
    exchange.malformed = true
    exchange.failure = ffi.string(C.cc_error_name(request.error))
  end
  local chosen = exchange.chosen
  local upstream = chosen and chosen.upstream or nil
  wait_queue.leave(exchange)
  clients.close(exchange)
  settle(exchange, exchange.holder_0)
  settle(exchange, exchange.holder_1)
  clients.leave(exchange, report)
  count_coalescing.leave(exchange)
  calibrate(exchange)
  tell_policy(exchange, upstream)
  count(exchange, upstream and upstream.provider)
  write_line(exchange, upstream)
  if upstream and is_served() then affinity.settle(exchange, upstream.slot, report.usage) end
end

return M
