-- SPDX-License-Identifier: Apache-2.0
-- The C side as a script of a test: a clock that only events move, clients and upstreams that do as
-- they are told. What computes only (cells, limits, digests, JSON) is the real library's.
local ffi = require 'ffi'
local json = require 'ccrelay.json'
local real = require 'ccrelay.c'

local M = {}

local state = {}
local fake = {}

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
  state.events[#state.events + 1] = event
  return event
end

local function drop(event)
  for index, other in ipairs(state.events) do
    if other == event then return table.remove(state.events, index) end
  end
end

local function next_event()
  local best
  for _, event in ipairs(state.events) do
    if not best or event.due < best.due or event.due == best.due and event.order < best.order then best = event end
  end
  return drop(best)
end

local function case_index(headers, name)
  for key, value in pairs(headers or {}) do
    if key:lower() == name:lower() then return value end
  end
end

local function sorted(headers)
  local list = {}
  for name, value in pairs(headers or {}) do list[#list + 1] = { name, value } end
  table.sort(list, function(a, b) return a[1] < b[1] end)
  return list
end

-- ---- The loop ----------------------------------------------------------------------------------

local starts = {}

function fake.cc_next(_, event)
  assert(not state.inside, 'script code has not been left')
  local found = next_event()
  if not found then return false end
  state.now = math.max(state.now, found.due)
  if starts[found.type] then starts[found.type](found) end
  event.type, event.id, event.detail = found.type, found.id, found.detail
  return true
end

starts[real.CC_EVENT_OUTCOME] = function(found)
  local exchange = state.exchanges[found.id]
  local attempt = exchange and exchange.attempts[found.detail]
  if attempt and attempt.event == found then attempt.settled = true end
end

function fake.cc_script(inside) state.inside = inside end

function fake.cc_now() return state.now end
function fake.cc_time() return state.time + state.now end
function fake.cc_log(line, size) state.lines[#state.lines + 1] = bytes(line, size) end

function fake.cc_random(out, size)
  for index = 0, size - 1 do
    state.seed = (state.seed * 1103515245 + 12345) % 2147483648
    out[index] = math.floor(state.seed / 65536) % 256
  end
  return 0
end

function fake.cc_origin(_, spec)
  local host = ffi.string(spec.host.data, spec.host.size)
  if host == 'nowhere.test' then return real.CC_EINVAL end
  state.origins[#state.origins + 1] = {
    host = host, port = spec.port, tls = spec.tls, proxy_port = spec.proxy_port,
    proxy = ffi.string(spec.proxy_host.data, spec.proxy_host.size), allow_public_http = spec.allow_public_http,
  }
  return #state.origins - 1
end

function fake.cc_worker(slot, out)
  if slot > 0 then return real.CC_EINVAL end
  out.exchanges = state.open_elsewhere + state.open
  return 0
end

-- ---- The request -------------------------------------------------------------------------------

local function find(id)
  local exchange = state.exchanges[id]
  return exchange and not exchange.freed and exchange or nil
end

function fake.cc_request(_, id, out)
  local exchange = find(id)
  if not exchange then return real.CC_ESTALE end
  put(out.method, exchange.method)
  put(out.path, exchange.path)
  put(out.query, exchange.query)
  put(out.peer, exchange.peer)
  out.error, out.body_bytes, out.started = exchange.refusal or 0, exchange.complete and #exchange.body or 0, exchange.at
  return 0
end

function fake.cc_request_header(_, id, name, size, value)
  local exchange = find(id)
  if not exchange then return real.CC_ESTALE end
  if exchange.over then return real.CC_ESTATE end
  local found = case_index(exchange.headers, bytes(name, size))
  if not found then return real.CC_ENOTFOUND end
  put(value, found)
  return 0
end

function fake.cc_request_accept(_, id)
  local exchange = find(id)
  if not exchange then return real.CC_ESTALE end
  exchange.accepted = true
  if exchange.complete then return 0 end
  post(exchange.body_after, real.CC_EVENT_BODY, id)
  return real.CC_ESTATE
end

starts[real.CC_EVENT_BODY] = function(found) state.exchanges[found.id].complete = true end

function fake.cc_request_body(_, id, out)
  put(out, find(id).body)
  return 0
end

local features = {
  pdf = real.CC_HAS_PDF, image_url = real.CC_HAS_IMAGE_URL, tool_forced = real.CC_HAS_TOOL_FORCED,
  signatures = real.CC_HAS_SIGNATURES, cache = real.CC_HAS_CACHE_CONTROL,
}

function fake.cc_request_scan(_, id, out)
  local exchange = find(id)
  if not exchange then return real.CC_ESTALE end
  if not exchange.complete then return real.CC_ESTATE end
  local body = json.decode(exchange.body)
  out.error_offset = 3
  if type(body) ~= 'table' then return real.CC_EJSON end
  if type(body.model) ~= 'string' or body.model == '' then return real.CC_EMODEL end
  put(out.model, exchange.body:match '"model"%s*:%s*"(.-)"')
  out.stream, out.max_tokens, out.features = body.stream == true, body.max_tokens or 0, 0
  for _, name in ipairs(exchange.features or {}) do out.features = out.features + features[name] end
  return 0
end

function fake.cc_request_field(_, id, path, size, out)
  local exchange = find(id)
  if not exchange then return real.CC_ESTALE end
  local value = json.decode(exchange.body)
  for name in bytes(path, size):gmatch '[^.]+' do
    if type(value) ~= 'table' then return real.CC_ENOTFOUND end
    value = value[name]
  end
  if value == nil then return real.CC_ENOTFOUND end
  put(out, json.encode(value))
  return 0
end

function fake.cc_exchange_timer(_, id, delay)
  local exchange = find(id)
  if not exchange or exchange.over then return real.CC_ESTALE end
  if exchange.timer then drop(exchange.timer) end
  exchange.timer = delay >= 0 and post(delay, real.CC_EVENT_TIMER, id) or nil
  return 0
end

-- ---- Attempts ----------------------------------------------------------------------------------

function fake.cc_try(_, id, origin, spec)
  local exchange = find(id)
  if not exchange then return real.CC_ESTALE end
  if exchange.over or exchange.answer or not exchange.complete then return real.CC_ESTATE end
  local number = #exchange.tries % 2
  local attempt = {
    origin = state.origins[origin + 1], headers = {}, edits = {}, method = exchange.method, stream = spec.stream,
    framing = spec.framing, head_ms = spec.head_ms, gate_bytes = spec.gate_bytes, gate_ms = spec.gate_ms,
    gate_opens = spec.gate_opens,
  }
  exchange.tries[#exchange.tries + 1], exchange.attempts[number] = attempt, attempt
  return number
end

local function draft(id, number)
  local exchange = find(id)
  local attempt = exchange and exchange.attempts[number]
  if not attempt or attempt.sent or attempt.cancelled or exchange.over then return nil end
  return attempt
end

function fake.cc_try_method(_, id, number, text, size)
  draft(id, number).method = bytes(text, size)
  return 0
end

function fake.cc_try_target(_, id, number, text, size)
  local attempt = draft(id, number)
  if not attempt then return real.CC_ESTATE end
  attempt.target = bytes(text, size)
  return attempt.target:find '[%s%c]' and real.CC_EINVAL or 0
end

function fake.cc_try_header(_, id, number, name, name_size, value, value_size)
  local attempt, text = draft(id, number), bytes(value, value_size)
  if not attempt then return real.CC_ESTATE end
  if text:find '[\r\n%z]' then return real.CC_EINVAL end
  attempt.headers[bytes(name, name_size):lower()] = text
  return 0
end

function fake.cc_try_pass(_, id, number)
  draft(id, number).passes = true
  return 0
end

function fake.cc_try_set(_, id, number, field, field_size, value, value_size)
  local text = bytes(value, value_size)
  if not real.cc_json_valid(text, #text) then return real.CC_EINVAL end
  draft(id, number).edits[bytes(field, field_size)] = text
  return 0
end

function fake.cc_try_remove(_, id, number, field, field_size)
  draft(id, number).edits[bytes(field, field_size)] = false
  return 0
end

-- Malloc'ed by the real library, so that cc_free may be called.
local function give(text, out, size)
  return real.cc_json_without(text, #text, 'no such member', 14, out, size)
end

local function view_of(exchange, attempt)
  local body = json.decode(exchange.body)
  for name, text in pairs(attempt.edits) do body[name] = text and json.decode(text) or nil end
  return json.encode(body)
end

function fake.cc_try_view(_, id, number, out, size)
  return give(view_of(find(id), draft(id, number)), out, size)
end

function fake.cc_try_body(_, id, number, text, size)
  draft(id, number).body = bytes(text, size)
  return 0
end

local function text_of(slice)
  return slice.size > 0 and ffi.string(slice.data, slice.size) or ''
end

function fake.cc_try_sign(_, id, number, signer)
  draft(id, number).signer = {
    access_key = text_of(signer.access_key), secret_key = text_of(signer.secret_key),
    session_token = text_of(signer.session_token), region = text_of(signer.region), service = text_of(signer.service),
    skew_ms = signer.skew_ms,
  }
  return 0
end

local function reply_for(attempt)
  local list = state.replies[attempt.origin.host] or {}
  local reply = #list > 1 and table.remove(list, 1) or list[1] or {}
  if type(reply) == 'function' then reply = reply(attempt) end
  return reply
end

local function late(attempt, reply)
  return attempt.stream and attempt.head_ms > 0 and (reply.after or 1) > attempt.head_ms
end

function fake.cc_try_send(_, id, number)
  local attempt = draft(id, number)
  if not attempt then return real.CC_ESTATE end
  if not attempt.target then return real.CC_EINVAL end
  local reply = reply_for(attempt)
  attempt.sent, attempt.reply = true, reply
  if late(attempt, reply) then
    attempt.reply = { error = 'CC_EHEAD_TIMEOUT', after = attempt.head_ms }
  end
  if not reply.hang then
    attempt.event = post(attempt.reply.after or 1, real.CC_EVENT_OUTCOME, id, number)
  end
  return 0
end

function fake.cc_try_cancel(_, id, number)
  local attempt = find(id).attempts[number]
  attempt.cancelled = true
  if attempt.event then drop(attempt.event) end
  return 0
end

local function usage_into(out, usage)
  if not usage then return end
  for name, value in pairs(usage) do out[name] = value end
end

function fake.cc_outcome(_, id, number, out)
  local exchange = find(id)
  local attempt = exchange and exchange.attempts[number]
  if not attempt then return real.CC_ESTALE end
  if not attempt.settled then return real.CC_ESTATE end
  local reply = attempt.reply
  ffi.fill(out, ffi.sizeof 'struct cc_outcome')
  out.error = reply.error and real[reply.error] or 0
  out.status = reply.status or (reply.error and 0 or 200)
  out.complete, out.sent = reply.complete ~= false, reply.sent ~= false and reply.error ~= 'CC_EREFUSED'
  out.headers = #sorted(reply.headers)
  out.changed_bytes = reply.changed_bytes or 0
  put(out.body, reply.body or '')
  put(out.detail, reply.detail or '')
  put(out.error_type, '')
  return 0
end

function fake.cc_outcome_header(_, id, number, name, size, value)
  local found = case_index(find(id).attempts[number].reply.headers, bytes(name, size))
  if not found then return real.CC_ENOTFOUND end
  put(value, found)
  return 0
end

function fake.cc_outcome_header_at(_, id, number, index, name, value)
  local entry = sorted(find(id).attempts[number].reply.headers)[index + 1]
  if not entry then return real.CC_ENOTFOUND end
  put(name, entry[1])
  put(value, entry[2])
  return 0
end

-- ---- Answers -----------------------------------------------------------------------------------

local function finish(id, exchange, report)
  if exchange.over then return end
  exchange.over, exchange.report = true, report
  if exchange.timer then drop(exchange.timer) end
  post(0, real.CC_EVENT_DONE, id)
end

starts[real.CC_EVENT_DONE] = function(found)
  local exchange = state.exchanges[found.id]
  state.open = state.open - 1
  if exchange.report then return end
  exchange.over, exchange.report = true, { status = 0, error = exchange.refusal or real.CC_ECLIENT_GONE, attempt = -1 }
  for _, attempt in pairs(exchange.attempts) do
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
  local text = bytes(value, value_size)
  if text:find '[\r\n%z]' then return real.CC_EINVAL end
  exchange.set_headers[bytes(name, name_size):lower()] = text
  return 0
end

local function headers_of(exchange, upstream)
  local headers = {}
  for name, value in pairs(upstream or {}) do headers[name:lower()] = value end
  for name, value in pairs(exchange.set_headers) do headers[name] = value ~= '' and value or nil end
  return headers
end

function fake.cc_answer(_, id, status, body, size)
  local exchange, code = answerable(id)
  if not exchange then return code end
  exchange.answer = { status = status, headers = headers_of(exchange), body = bytes(body, size), own = true }
  finish(id, exchange, { status = status, error = 0, attempt = -1 })
  return 0
end

function fake.cc_answer_outcome(_, id, number, break_with_event)
  local exchange, code = answerable(id)
  if not exchange then return code end
  local attempt = exchange.attempts[number]
  if attempt.cancelled or not attempt.settled then return real.CC_ESTATE end
  local reply = attempt.reply
  local status = reply.status or 200
  exchange.answer = {
    status = status, headers = headers_of(exchange, reply.headers), body = reply.body or '', attempt = number,
    origin = attempt.origin.host, break_with_event = break_with_event,
  }
  local ending = reply.ending or {}
  finish(id, exchange, {
    status = status, error = ending.error and real[ending.error] or 0, attempt = number, usage = reply.usage,
    stream_error = ending.stream_error, stream = attempt.stream,
  })
  return 0
end

function fake.cc_answer_begin(_, id, status)
  local exchange, code = answerable(id)
  if not exchange then return code end
  exchange.answer = { status = status, headers = headers_of(exchange), body = '', own = true, writes = {} }
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
  out.total_ms, out.stream = state.now - exchange.at, report.stream or false
  out.usage_known = report.usage ~= nil
  usage_into(out.usage, report.usage)
  put(out.stream_error, report.stream_error or '')
  return 0
end

-- ---- Requests of the relay's own ---------------------------------------------------------------

function fake.cc_timer(_, number, delay)
  if state.clocks[number] then drop(state.clocks[number]) end
  state.clocks[number] = delay >= 0 and post(delay, real.CC_EVENT_TIMER, 0, number) or nil
  return 0
end

-- What a page or program answers: a list of replies in turn, the last one from then on.
local function scripted(list)
  if not list then return { error = 'CC_EREFUSED' } end
  return #list > 1 and table.remove(list, 1) or list[1]
end

local function begin_job(job, reply)
  state.count_jobs = state.count_jobs + 1
  local id = state.count_jobs
  if type(reply) == 'function' then reply = reply(job) end
  job.reply = reply
  state.jobs[id], state.asked[#state.asked + 1] = job, job
  post(reply.after or 1, real.CC_EVENT_FETCH, id)
  return id
end

function fake.cc_fetch(_, spec)
  local origin, headers = state.origins[spec.origin + 1], {}
  for name, value in text_of(spec.headers):gmatch '([^:\n]+): ([^\n]*)\n' do headers[name:lower()] = value end
  local scheme, usual = origin.tls and 'https://' or 'http://', origin.tls and 443 or 80
  local host = origin.port == usual and origin.host or origin.host .. ':' .. origin.port
  local method, url = text_of(spec.method), scheme .. host .. text_of(spec.target)
  return begin_job({ method = method, url = url, headers = headers, body = text_of(spec.body) },
    scripted(state.pages[method .. ' ' .. url]))
end

function fake.cc_knock(_, origin)
  local host = state.origins[origin + 1].host
  return begin_job({ knock = host }, scripted(state.knocks[host]))
end

function fake.cc_run(_, spec)
  local arguments = {}
  for argument in text_of(spec.arguments):gmatch '(%Z*)%z' do arguments[#arguments + 1] = argument end
  return begin_job({ arguments = arguments }, scripted(state.pages[arguments[1]]))
end

function fake.cc_fetched(_, id, out)
  local reply = state.jobs[id].reply
  ffi.fill(out, ffi.sizeof 'struct cc_fetched')
  out.error, out.status = reply.error and real[reply.error] or 0, reply.status or 200
  put(out.body, reply.body or '')
  put(out.detail, reply.detail or '')
  return 0
end

function fake.cc_fetched_header(_, id, name, size, value)
  local found = case_index(state.jobs[id].reply.headers, bytes(name, size))
  if not found then return real.CC_ENOTFOUND end
  put(value, found)
  return 0
end

-- ---- For the tests -----------------------------------------------------------------------------

-- Every function of the fake is called with as many arguments as relay.h gives it.
local function arity_of(name)
  local header = ffi.string(real.cc_relay_header()):gsub('//[^\n]*', '')
  local list = assert(header:match('[%s%*]' .. name .. '%(([^)]*)%);'), name .. ' is not in relay.h')
  if list == 'void' then return 0 end
  local _, commas = list:gsub(',', ',')
  return commas + 1
end

local function checked(name, implementation)
  local arity = arity_of(name)
  return function(...)
    assert(select('#', ...) == arity, name .. ' takes ' .. arity .. ' arguments')
    return implementation(...)
  end
end

-- The library outlives the spec files of a run, so its clock is kept in the library.
local clock

local function later()
  local name = 'spec clock'
  clock = clock or real.cc_cell(name, #name)
  return real.cc_cell_add(clock, 10000000)
end

--- Begins anew: no exchanges, clock far behind all windows of limits, cells at 0.
---@return table state
function M.reset()
  local now = later()
  state = {
    now = now, time = 1795000000000, count = 0, events = {}, anchors = {}, lines = {}, origins = {}, exchanges = {},
    replies = {}, seed = 1, open = 0, open_elsewhere = 0, clocks = {}, pages = {}, jobs = {}, asked = {},
    count_jobs = 0, knocks = {},
  }
  for number = 0, real.cc_cells() - 1 do
    if number ~= clock then real.cc_cell_set(number, 0) end
  end
  return state
end

--- A request that comes in after delay: returns its exchange.
---@param delay number
---@param request table
---@return table
function M.arrive(delay, request)
  local id = #state.exchanges + 1
  local path, query = (request.path or '/v1/messages'):match '^([^?]*)%??(.*)$'
  local exchange = {
    method = request.method or 'POST', path = path, query = query, headers = request.headers or {}, body = request.body
      or '',
    peer = request.peer or '127.0.0.1', complete = not request.body_after, body_after = request.body_after,
    features = request.features, refusal = request.refusal, slow_ms = request.slow_ms, at = state.now + delay,
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

--- Lets other secrets be in force: names of the real table are never given back.
---@return string
function M.fresh(name)
  return name .. ' ' .. later()
end

--- Posts any other event.
---@param kind integer
---@param id number
---@param detail integer
function M.post(kind, id, detail)
  post(0, kind, id, detail)
end

function M.advance(milliseconds)
  state.now = state.now + milliseconds
end

real.cc_share(1)
for name, implementation in pairs(fake) do fake[name] = checked(name, implementation) end
M.C = setmetatable(fake, { __index = real })
package.loaded['ccrelay.c'] = M.C

return M
