-- SPDX-License-Identifier: Apache-2.0
-- Answers the client without an upstream: errors, lists, and what a policy answers itself. It guarantees that errors
-- have the shape of the Messages API and that no secret of the configuration is in their messages.
local C = require 'ccrelay.c'
local access = require 'ccrelay.log.access'
local call = require 'ccrelay.script.call'
local each = require 'ccrelay.util.each'
local api_error = require 'ccrelay.util.api_error'
local deep_copy = require 'ccrelay.script.deep_copy'
local handle = require 'ccrelay.script.handle'
local ffi = require 'ffi'
local json = require 'ccrelay.util.json'
local members = require 'ccrelay.script.members'
local retry_after = require 'ccrelay.limits.retry_after'
local sandbox = require 'ccrelay.script.sandbox'
local wait = require 'ccrelay.sched.wait'

local M = {}

-- What a script returns after it has answered itself.
M.GIVEN = sandbox.frozen {}

local MOST_HEADER_BYTES = 12 * 1024 -- of headers that a script may add; clients accept a head of 16 KiB

local function refused(what, code)
  error(what .. ': ' .. ffi.string(C.cc_error_text(code)), 0)
end

--- Sets a header of the answer; "" removes the upstream's header of that name.
---@param exchange ccrelay.Exchange
---@param name string
---@param value string
function M.header(exchange, name, value)
  local code = C.cc_answer_header(exchange.relay, exchange.handle, name, #name, value, #value)
  if code == C.CC_EINVAL or code == C.CC_ELIMIT then refused('the answer\'s header "' .. name .. '"', code) end
end

--- The request id of an answer that no upstream gave.
---@param exchange ccrelay.Exchange
---@return string
function M.request_id(exchange)
  return 'req_ccr_' .. exchange.id
end

-- The body of an answer in a stream that has begun: the data of an error event.
local function as_error(exchange, status, body)
  local decoded = json.decode(body)
  if api_error.shaped(decoded) then return body end
  local message = status < 400 and 'the policy answered with status ' .. status .. ' after the stream had begun'
    or api_error.message_of(decoded, body)
  return api_error.body(api_error.type_of(status < 400 and 500 or status), message, M.request_id(exchange))
end

--- Sends a whole answer.
---@param exchange ccrelay.Exchange
---@param status integer
---@param body string
---@param request_id string? of the upstream whose error this is; nil: one of the relay's own
function M.give(exchange, status, body, request_id)
  M.header(exchange, 'request-id', request_id or M.request_id(exchange))
  if exchange.early then body = as_error(exchange, status, body) end
  local code = C.cc_answer(exchange.relay, exchange.handle, status, body, #body)
  if code == C.CC_EINVAL then refused('the answer with status ' .. tostring(status), code) end
  exchange.answered = true
end

--- Marks the exchange as answered: the answer has begun or is complete.
---@param exchange ccrelay.Exchange
function M.mark_answered(exchange)
  exchange.answered = true
end

--- Sends a value as JSON with status 200.
---@param exchange ccrelay.Exchange
---@param value any
function M.json(exchange, value)
  M.header(exchange, 'content-type', 'application/json')
  M.give(exchange, 200, json.encode(value))
end

--- Adds the headers of routing.debug, if that is on.
---@param exchange ccrelay.Exchange
---@param provider string?
function M.debug(exchange, provider)
  local generation = exchange.generation
  local routing = generation.configuration.routing
  if not routing or not routing.debug then return end
  M.header(exchange, 'x-cc-relay-strategy', generation.strategy)
  if provider then M.header(exchange, 'x-cc-relay-provider', provider) end
  M.header(exchange, 'x-cc-relay-attempts', tostring(#exchange.outcomes))
end

local function stream_headers(exchange)
  M.header(exchange, 'content-type', 'text/event-stream')
  M.header(exchange, 'request-id', M.request_id(exchange))
end

--- Begins the answer of a client that wants a stream before an upstream has answered; from then on it gets pings.
---@param exchange ccrelay.Exchange
function M.begin_stream(exchange)
  stream_headers(exchange)
  M.debug(exchange)
  exchange.early = C.cc_answer_early(exchange.relay, exchange.handle) == C.CC_OK
end

---@class ccrelay.ErrorOptions
---@field type string? error type; nil: that of the status
---@field retry_after number? seconds
---@field should_retry boolean?
---@field headers table<string, string>?
---@field failure string? name of the failure in the log
---@field request_id string? of the upstream
---@field error_code string? error.details.error_code

--- Sends an error in the shape of the Messages API. Secrets that the client wrote into its path or model are redacted.
---@param exchange ccrelay.Exchange
---@param status integer
---@param message string
---@param options ccrelay.ErrorOptions?
function M.error(exchange, status, message, options)
  options = options or {}
  local kind = options.type or api_error.type_of(status)
  access.note_failure(exchange, options.failure or access.failure(exchange) or kind)
  M.header(exchange, 'content-type', 'application/json')
  if options.retry_after then M.header(exchange, 'retry-after', retry_after.text(options.retry_after)) end
  if options.should_retry ~= nil then M.header(exchange, 'x-should-retry', tostring(options.should_retry)) end
  for name, value in each(options.headers or {}) do M.header(exchange, name, value) end
  local request_id = options.request_id or M.request_id(exchange)
  local shown = exchange.generation.logger.clean(message)
  M.give(exchange, status, api_error.body(kind, shown, request_id, options.error_code), request_id)
end

--- Answers 500 after a script failed, or breaks off an answer that has begun.
---@param exchange ccrelay.Exchange
function M.script_failed(exchange)
  if exchange.ended then return end
  local told = not exchange.answered and pcall(M.error, exchange, 500, 'the relay failed on this request; its log '
    .. 'tells why under ' .. M.request_id(exchange), { failure = 'script' })
  if not told then C.cc_answer_break(exchange.relay, exchange.handle, false, '', 0) end
end

-- ---- What policies call ------------------------------------------------------------------------

local function set_headers(exchange, headers, level)
  local size = 0
  for name, value in each(headers or {}) do
    if type(name) ~= 'string' or type(value) ~= 'string' and type(value) ~= 'number' then
      error('the headers of an answer are strings by name', level + 1)
    end
    size = size + #name + #tostring(value)
  end
  if size > MOST_HEADER_BYTES then
    error('the headers of an answer are over ' .. MOST_HEADER_BYTES .. ' bytes', level + 1)
  end
  for name, value in each(headers or {}) do M.header(exchange, name, tostring(value)) end
end

local function check_status(status, level)
  status = status or 200
  if type(status) ~= 'number' or status % 1 ~= 0 or status < 200 or status > 599 then
    error('the status of an answer is a whole number from 200 to 599', level + 1)
  end
  return status
end

--- Reads the answer that a script gives as a table, without its metatable.
---@package
---@param answer any
---@return { status: any, headers: any, body: string }
function M.plain(answer)
  if type(answer) ~= 'table' then error('exchange:respond takes a table', 0) end
  local body = rawget(answer, 'body') or ''
  if type(body) == 'table' then body = json.encode_for_script(body) end
  if type(body) ~= 'string' then error('the body of an answer is a string or a table', 0) end
  return { status = rawget(answer, 'status'), headers = deep_copy.plain(rawget(answer, 'headers')), body = body }
end

--- Answers without an upstream; a table as body becomes JSON.
---@param exchange ccrelay.Exchange
---@param answer { status: integer?, headers: table<string, string>?, body: string|table|nil }
---@return table given to be returned by the policy
function M.respond(exchange, answer)
  wait.check(exchange, 'respond')
  local status = check_status(answer.status, 2)
  set_headers(exchange, answer.headers, 2)
  M.give(exchange, status, answer.body)
  return M.GIVEN
end

--- Refuses the request with 400 policy_blocked; clients show the message and do not retry.
---@param exchange ccrelay.Exchange
---@param message string for the user: what is not allowed, and what to do
---@return table given to be returned by the policy
function M.refuse(exchange, message)
  wait.check(exchange, 'refuse')
  if type(message) ~= 'string' or message == '' then error('exchange:refuse takes a message for the user', 0) end
  M.error(exchange, 400, message, { type = 'policy_blocked', failure = 'policy_blocked', should_retry = false })
  return M.GIVEN
end

local function bytes_of(value, what)
  if type(value) ~= 'string' and type(value) ~= 'number' then error(what .. ' is a string', 0) end
  return tostring(value)
end

--- Closes the connection to the client: with RST if reset is true, after the bytes of raw if given.
---@param exchange ccrelay.Exchange
---@param how { reset: boolean?, raw: string? }?
---@return table given
function M.abort(exchange, how)
  wait.check(exchange, 'abort')
  how = how or {}
  local raw = bytes_of(how.raw or '', 'raw of exchange:abort')
  exchange.answered = true
  C.cc_answer_break(exchange.relay, exchange.handle, how.reset or false, raw, #raw)
  return M.GIVEN
end

---@class ccrelay.Writer
---@field package exchange ccrelay.Exchange
local Writer = {}
Writer.__index = Writer
Writer.__metatable = false

local function check_open(writer, action)
  local exchange = writer.exchange
  if not writer.open or exchange.ended then error('writer:' .. action .. ' was called after the answer ended', 0) end
  if not wait.is_own(exchange) then
    error('writer:' .. action .. ' was called from outside of the exchange\'s own script', 0)
  end
  return exchange
end

--- Writes bytes; waits while the client is slow.
---@param bytes string
function Writer:write(bytes)
  local exchange = check_open(self, 'write')
  bytes = bytes_of(bytes, 'the argument of writer:write')
  local code = C.cc_answer_write(exchange.relay, exchange.handle, bytes, #bytes)
  if code == C.CC_ELIMIT then
    wait.await(exchange, wait.WRITABLE)
  elseif code ~= C.CC_OK then
    wait.vanish(exchange)
  end
end

--- Waits.
---@param milliseconds number
function Writer:sleep(milliseconds)
  local exchange = check_open(self, 'sleep')
  if not members.is_milliseconds(milliseconds) then error('writer:sleep takes milliseconds', 0) end
  wait.sleep(exchange, milliseconds)
end

--- Closes the connection in the middle of the answer.
---@param how { reset: boolean?, raw: string? }?
function Writer:abort(how)
  local exchange = check_open(self, 'abort')
  how = how or {}
  local raw = bytes_of(how.raw or '', 'raw of writer:abort')
  self.open = false
  C.cc_answer_break(exchange.relay, exchange.handle, how.reset or false, raw, #raw)
end

local shown = {}

local function show(name, inner)
  shown[name] = call.library(function(self, given)
    local writer = handle.object(self, 'writer') or error('writer:' .. name .. ' is a method of a writer', 0)
    return inner(writer, given)
  end)
end

show('write', Writer.write)
show('sleep', Writer.sleep)
show('abort', function(self, how)
  members.check('what writer:abort takes', how, { reset = true, raw = true })
  Writer.abort(self, { reset = handle.member(how, 'reset') == true, raw = handle.member(how, 'raw') })
end)

handle.define('writer', Writer, function(_, name)
  return shown[name] or error(members.unknown('a writer', name, shown), 2)
end)

--- Answers in pieces: produce(writer) writes them. The answer ends when it returns.
---@param exchange ccrelay.Exchange
---@param produce fun(writer: ccrelay.Writer)
---@param answer { status: integer?, headers: table<string, string>? }?
---@return table given
function M.stream(exchange, produce, answer)
  wait.check(exchange, 'stream')
  if type(produce) ~= 'function' then error('exchange:stream takes a function that writes the answer', 3) end
  answer = answer or {}
  local status = check_status(answer.status, 2)
  stream_headers(exchange)
  set_headers(exchange, answer.headers, 2)
  C.cc_answer_begin(exchange.relay, exchange.handle, status)
  exchange.answered = true
  local writer = setmetatable({ exchange = exchange, open = true }, Writer)
  call.policy(produce, handle.new(writer))
  if writer.open and not exchange.ended then C.cc_answer_end(exchange.relay, exchange.handle) end
  writer.open = false
  return M.GIVEN
end

return M
