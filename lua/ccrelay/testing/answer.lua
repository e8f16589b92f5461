-- SPDX-License-Identifier: Apache-2.0
-- The part of the scripted C side that answers clients (cc_answer_*) and reports on an exchange (cc_report).
local each = require 'ccrelay.util.each'
local ffi = require 'ffi'
local rules = require 'ccrelay.testing.rules'
local world = require 'ccrelay.testing.world'

local state, real = world.state, world.real
local starts, put, bytes, post, drop, find =
  world.starts, world.put, world.bytes, world.post_event, world.drop, world.find

local fake = {}

local function fill_usage(out, usage)
  if not usage then return end
  for name, value in each(usage) do out[name] = value end
end

local function finish(id, exchange, report)
  if exchange.over then return end
  exchange.over, exchange.report, exchange.over_at = true, report, state.now
  if exchange.timer then drop(exchange.timer) end
  post(0, real.CC_EVENT_DONE, id)
end

starts[real.CC_EVENT_DONE] = function(found)
  local exchange = state.exchanges[found.id]
  state.open = state.open - 1
  if exchange.report then return end
  exchange.over, exchange.over_at = true, state.now
  exchange.report = { status = 0, error = exchange.refusal or real.CC_ECLIENT_GONE, attempt = -1 }
  for _, attempt in each(exchange.attempts) do
    if attempt.event then drop(attempt.event) end
  end
end

local function answerable(id)
  local exchange = find(id)
  if not exchange then return nil, real.CC_ESTALE end
  if exchange.over or exchange.answer then return nil, real.CC_ESTATE end
  return exchange
end

function fake.cc_answer_header(_, id, name, name_size, value, value_size)
  local exchange, code = answerable(id)
  if not exchange then return code end
  local key, text = bytes(name, name_size), bytes(value, value_size)
  if not rules.may_answer(key, text) then return real.CC_EINVAL end
  exchange.set_headers[key:lower()] = text
  return 0
end

local function headers_of(exchange, upstream)
  local headers = {}
  for name, value in each(upstream or {}) do headers[name:lower()] = value end
  for name, value in each(exchange.set_headers) do headers[name] = value ~= '' and value or nil end
  return headers
end

function fake.cc_answer_early(_, id)
  local exchange, code = answerable(id)
  if not exchange then return code end
  if exchange.early then return real.CC_ESTATE end
  exchange.early = { at = state.now, headers = headers_of(exchange) }
  return 0
end

local function is_stream(attempt, reply)
  local kind = headers_of({ set_headers = {} }, reply.headers)['content-type']
  if kind then return kind:find('text/event-stream', 1, true) ~= nil end
  return attempt.stream and (reply.status or 200) < 300
end

-- Once a stream has begun, its status and headers have been sent and cannot change.
local function after_early(exchange, answer)
  local early = exchange.early
  if not early then return answer end
  answer.status, answer.headers, answer.early = 200, early.headers, early.at
  return answer
end

function fake.cc_answer(_, id, status, body, size)
  local exchange, code = answerable(id)
  if not exchange then return code end
  local text = bytes(body, size)
  if exchange.early then status, text = 200, 'event: error\ndata: ' .. text .. '\n\n' end
  exchange.answer = after_early(exchange, { status = status, headers = headers_of(exchange), body = text, own = true })
  finish(id, exchange, { status = status, error = 0, attempt = -1 })
  return 0
end

function fake.cc_answer_outcome(_, id, number, break_with_event)
  local exchange, code = answerable(id)
  if not exchange then return code end
  local attempt = exchange.attempts[number]
  if attempt.cancelled or not attempt.settled then return real.CC_ESTATE end
  local reply = attempt.reply
  if exchange.early and not is_stream(attempt, reply) then return real.CC_ESTATE end
  local status = reply.status or 200
  exchange.answer = after_early(exchange, {
    status = status, headers = headers_of(exchange, reply.headers), body = reply.body or '', attempt = number,
    origin = attempt.origin.host, break_with_event = break_with_event,
  })
  local ending = reply.ending or {}
  finish(id, exchange, {
    status = status, error = ending.error and real[ending.error] or 0, attempt = number, usage = reply.usage,
    stream_error = ending.stream_error, stream = attempt.stream, events = ending.events,
  })
  return 0
end

function fake.cc_answer_begin(_, id, status)
  local exchange, code = answerable(id)
  if not exchange then return code end
  exchange.answer = after_early(exchange, {
    status = status, headers = headers_of(exchange), body = '', own = true, writes = {},
  })
  return 0
end

function fake.cc_answer_write(_, id, data, size)
  local exchange = find(id)
  if not exchange or exchange.over then return real.CC_ECLIENT_GONE end
  local answer = exchange.answer
  answer.body = answer.body .. bytes(data, size)
  answer.writes[#answer.writes + 1] = state.now
  if not exchange.slow_ms then return 0 end
  post(exchange.slow_ms, real.CC_EVENT_WRITABLE, id)
  return real.CC_ELIMIT
end

function fake.cc_answer_end(_, id)
  local exchange = find(id)
  if not exchange or exchange.over then return real.CC_ESTATE end
  exchange.answer.ended = true
  finish(id, exchange, { status = exchange.answer.status, error = 0, attempt = -1, stream = true })
  return 0
end

function fake.cc_answer_break(_, id, reset, raw, size)
  local exchange = find(id)
  if not exchange or exchange.over then return real.CC_ESTATE end
  exchange.answer = exchange.answer or { status = 0, body = '', headers = {} }
  exchange.answer.broken, exchange.answer.reset, exchange.answer.raw = true, reset, bytes(raw, size)
  finish(id, exchange, { status = exchange.answer.status, error = real.CC_ECANCELLED, attempt = -1 })
  return 0
end

function fake.cc_report(_, id, out)
  local exchange = find(id)
  if not exchange then return real.CC_ESTALE end
  local report = exchange.report
  ffi.fill(out, ffi.sizeof 'struct cc_report')
  out.status, out.error, out.attempt, out.attempts = report.status, report.error, report.attempt, #exchange.tries
  out.request_bytes, out.response_bytes = #exchange.body, exchange.answer and #exchange.answer.body or 0
  out.started, out.total_ms, out.stream = exchange.at, state.now - exchange.at, report.stream or false
  out.usage_known = report.usage ~= nil
  out.usage_final = report.usage ~= nil and report.error == 0
  out.events = report.events or 0
  fill_usage(out.usage, report.usage)
  put(out.stream_error, report.stream_error or '')
  return 0
end

return fake
