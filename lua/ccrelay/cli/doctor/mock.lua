-- SPDX-License-Identifier: Apache-2.0
-- A mock provider of the Messages API for the check of the contract, in a process of its own. It answers as the text
-- "doctor:NAME" in a request says, and repeats the last request on GET /last.
local C = require 'ccrelay.c'
local each = require 'ccrelay.util.each'
local ffi = require 'ffi'
local json = require 'ccrelay.util.json'
local slice = require 'ccrelay.util.slice'

local M = {}

M.MODEL = 'doctor-model'

--- Headers of every answer, which a client must get unchanged.
M.HEADERS = {
  ['request-id'] = 'req_doctor', ['anthropic-organization-id'] = 'doctor-org', ['x-should-retry'] = 'false',
  ['anthropic-ratelimit-requests-remaining'] = '41', ['anthropic-ratelimit-unified-status'] = 'allowed',
}

local function error_body(kind, message)
  return ('{"type":"error", "error":{"type":"%s","message":"%s"}, "request_id":"req_doctor"}'):format(kind, message)
end

--- The error of "doctor:invalid", byte for byte.
M.INVALID = error_body('invalid_request_error', 'messages.1.content.0: Invalid `signature` in `thinking` block')

M.RETRY_AFTER = 10800

local MESSAGE = '{"id":"msg_doctor","type":"message","role":"assistant","model":"m","content":[{"type":"text",'
  .. '"text":"hello"}],"stop_reason":"end_turn","stop_sequence":null,"usage":{"input_tokens":3,"output_tokens":1}}'

local function event(name, members)
  return ('event: %s\ndata: {"type":"%s"%s}\n\n'):format(name, name, members or '')
end

--- The events up to the first content, and the others.
M.BEGIN = event('message_start', ',"message":{"id":"msg_doctor","type":"message","role":"assistant","model":"m",'
  .. '"content":[],"stop_reason":null,"stop_sequence":null,"usage":{"input_tokens":3,"output_tokens":1}}')
  .. event 'ping' .. event('content_block_start', ',"index":0,"content_block":{"type":"text","text":""}')
  .. event('content_block_delta', ',"index":0,"delta":{"type":"text_delta","text":"hello"}')
M.REST = event('content_block_stop', ',"index":0')
  .. event('message_delta', ',"delta":{"stop_reason":"end_turn","stop_sequence":null},"usage":{"output_tokens":1}')
  .. event 'message_stop'

local relay, last

local function set_headers(id, extra)
  for name, value in each(M.HEADERS) do C.cc_answer_header(relay, id, name, #name, value, #value) end
  for name, value in each(extra) do C.cc_answer_header(relay, id, name, #name, value, #value) end
end

local function say(id, status, body, extra)
  extra = extra or {}
  extra['content-type'] = 'application/json'
  set_headers(id, extra)
  C.cc_answer(relay, id, status, body, #body)
end

local function begin_stream(id, text)
  set_headers(id, { ['content-type'] = 'text/event-stream' })
  C.cc_answer_begin(relay, id, 200)
  C.cc_answer_write(relay, id, text, #text)
end

local CUT_MS = 100 -- what was written gets through before the connection is cut

local scenarios = {
  invalid = function(id) say(id, 400, M.INVALID) end,
  limited = function(id)
    say(id, 429, error_body('rate_limit_error', 'limited'), { ['retry-after'] = tostring(M.RETRY_AFTER) })
  end,
  silent = function(id) begin_stream(id, M.BEGIN) end,
  cut = function(id)
    begin_stream(id, M.BEGIN)
    C.cc_exchange_timer(relay, id, CUT_MS)
  end,
}

local function headers_of(id, count)
  local name, value, list = ffi.new 'struct cc_slice', ffi.new 'struct cc_slice', {}
  for index = 0, count - 1 do
    C.cc_request_header_at(relay, id, index, name, value)
    list[slice.text(name):lower()] = slice.text(value)
  end
  return list
end

local function answer_message(id, body)
  local scenario = scenarios[body:match 'doctor:(%l+)' or '']
  if scenario then return scenario(id) end
  if not body:find '"stream"%s*:%s*true' then return say(id, 200, MESSAGE) end
  begin_stream(id, M.BEGIN .. M.REST)
  C.cc_answer_end(relay, id)
end

local function answer(id)
  local request, body = ffi.new 'struct cc_request', ffi.new 'struct cc_slice'
  if C.cc_request(relay, id, request) ~= C.CC_OK then return end
  C.cc_request_body(relay, id, body)
  local path, text = slice.text(request.path), slice.text(body)
  if path == '/last' then return say(id, 200, json.encode(last or {})) end
  if path:find '/api/tags$' then return say(id, 200, json.encode { models = { { name = M.MODEL } } }) end
  if slice.text(request.method) ~= 'POST' then return say(id, 404, error_body('not_found_error', 'no such page')) end
  last = { path = path, query = slice.text(request.query), headers = headers_of(id, request.headers),
    body = text }
  if path:find '/count_tokens$' then return say(id, 200, '{"input_tokens":7}') end
  answer_message(id, text)
end

local handlers = {
  [C.CC_EVENT_READY] = function(id)
    if C.cc_request_accept(relay, id) == C.CC_OK then answer(id) end
  end,
  [C.CC_EVENT_BODY] = answer,
  [C.CC_EVENT_TIMER] = function(id) C.cc_answer_break(relay, id, true, '', 0) end,
}

--- Serves on a port of loopback until its parent ends.
---@param port integer
function M.serve(port)
  C.cc_process 'ccrelay: mock provider'
  relay = C.cc_open()
  local host = '127.0.0.1'
  local number = C.cc_listen(relay, ffi.new('struct cc_listen', {
    host = { data = host, size = #host }, port = port, path = { data = '', size = 0 }, copies = 1,
    cert = { data = '', size = 0 }, key = { data = '', size = 0 },
  }))
  if number < 0 then return end
  C.cc_accept(relay, number, 0)
  local event_box = ffi.new 'struct cc_event'
  while C.cc_next(relay, event_box) do
    local handler = handlers[event_box.type]
    if handler then handler(event_box.id) end
  end
end

return M
