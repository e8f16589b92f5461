-- SPDX-License-Identifier: Apache-2.0
-- The outcome of an attempt: its status, error, headers and body, whether another upstream may succeed (retryable), and
-- what health learns (verdict). Both are decided here only.
local C = require 'ccrelay.c'
local account_faults = require 'ccrelay.health.account_faults'
local each = require 'ccrelay.util.each'
local api_error = require 'ccrelay.util.api_error'
local error_codes = require 'ccrelay.util.error_codes'
local deep_copy = require 'ccrelay.script.deep_copy'
local handle = require 'ccrelay.script.handle'
local ffi = require 'ffi'
local json = require 'ccrelay.util.json'
local members = require 'ccrelay.script.members'
local model_errors = require 'ccrelay.health.model_errors'
local reservation = require 'ccrelay.limits.reservation'
local response_headers = require 'ccrelay.limits.response_headers'
local call = require 'ccrelay.script.call'
local slice = require 'ccrelay.util.slice'

---@class ccrelay.Outcome
---@field ok boolean success so far
---@field status integer? HTTP status, or that of an error event's type
---@field error string? error below HTTP ("CC_EREFUSED"), or limited, overloaded, credentials, address
---@field type string? error type of the Messages API
---@field message string? message of an error in Anthropic's format
---@field retryable boolean whether another upstream may succeed
---@field reason string? the failure in words
---@field detail string? what TLS or the system reported
---@field timeout boolean? whether it timed out
---@field package event boolean? whether the error came inside an answer with a success status
---@field upstream ccrelay.Upstream the upstream tried
---@field package attempt integer number of the attempt, 0 or 1
---@field retry_after number? seconds; if a policy sets it, the client gets that value
---@field reset_after number? seconds until the used-up limit resets
---@field headers table<string, string?> response headers by name, in any case
---@field body string? whole body of a failure; the part held so far of a success
---@field package complete boolean whether the whole body is held
---@field package sent boolean whether the request may have reached the upstream
---@field reused boolean? whether a pooled connection was used
---@field connect_ms number? time until connected
---@field head_ms number? time until the response head
---@field gate_ms number? time until the outcome
---@field package account_fault string? why the account cannot be used, when the status does not tell
---@field verdict 'good'|'neutral'|'failed'|'overloaded'|'exhausted'|'refused'|'spent'|'no_model' what health learns
local Outcome = {}

local M = {}

local RETRYABLE = { [401] = true, [402] = true, [403] = true, [408] = true, [409] = true, [429] = true }
local VERDICTS = {
  [401] = 'refused', [402] = 'spent', [403] = 'refused', [408] = 'neutral', [409] = 'neutral', [429] = 'exhausted',
  [529] = 'overloaded',
}

local raw = ffi.new 'struct cc_outcome'
local name_slice, value_slice = ffi.new 'struct cc_slice', ffi.new 'struct cc_slice'

local text = slice.text

-- ---- Headers -----------------------------------------------------------------------------------

local Live = { __metatable = false }

function Live.__index(self, name)
  local exchange, number = rawget(self, 1), rawget(self, 2)
  return (response_headers.header(exchange, number, tostring(name)))
end

local Kept = { __metatable = false }

function Kept.__index(self, name)
  return rawget(self, string.lower(tostring(name)))
end

local function keep_headers(exchange, number, count)
  local headers = {}
  for index = 0, count - 1 do
    C.cc_outcome_header_at(exchange.relay, exchange.handle, number, index, name_slice, value_slice)
    headers[string.lower(text(name_slice))] = text(value_slice)
  end
  return setmetatable(headers, Kept)
end

local function no_headers() return setmetatable({}, Kept) end

-- Usual values are kept here once, not in each outcome.
local USUAL = {
  ok = false, retryable = false, verdict = 'neutral', sent = false, used_input = 0, used_output = 0, changed_bytes = 0,
}
local OF_GOOD = { verdict = 'good', sent = true }

local function read(self)
  local exchange = rawget(self, 'exchange')
  return C.cc_outcome(exchange.relay, exchange.handle, rawget(self, 'number'), raw) == C.CC_OK
end

local later = {
  connect_ms = function(self) return read(self) and raw.connect_ms or nil end,
  head_ms = function(self) return read(self) and raw.head_ms or nil end,
  gate_ms = function(self) return read(self) and raw.gate_ms or nil end,
  reused = function(self) return read(self) and raw.reused end,
}
local later_of_good = {
  complete = function(self) return read(self) and raw.complete end,
  body = function(self) return read(self) and text(raw.body) or nil end,
  headers = function(self) return (setmetatable({ rawget(self, 'exchange'), rawget(self, 'number') }, Live)) end,
}

function Outcome.__index(self, name)
  local good = rawget(self, 'ok')
  local view = later[name] or good and later_of_good[name]
  if view then return view(self) end
  if good and OF_GOOD[name] ~= nil then return OF_GOOD[name] end
  return USUAL[name]
end

-- ---- The handle for scripts --------------------------------------------------------------------

local SHOWN = {}
for _, name in ipairs {
  'ok', 'status', 'error', 'type', 'message', 'retryable', 'reason', 'detail', 'timeout', 'retry_after', 'reset_after',
  'body', 'reused', 'connect_ms', 'head_ms', 'gate_ms', 'verdict',
} do SHOWN[name] = true end
local READABLE = { upstream = true, headers = true, decoded = true }
for name in each(SHOWN) do READABLE[name] = true end

-- What scripts may set, and the type of the value.
local SETTABLE = {
  retryable = 'boolean', type = 'string', reason = 'string', message = 'string', verdict = 'string',
  retry_after = 'number',
}
local OPTIONAL = { reason = true, message = true, retry_after = true }
local KNOWN_VERDICTS = {
  good = true, neutral = true, failed = true, overloaded = true, exhausted = true, refused = true, spent = true,
  no_model = true,
}

local function is_fit(name, value)
  if value == nil then return OPTIONAL[name] end
  if type(value) ~= SETTABLE[name] then return false end
  if name == 'verdict' then return KNOWN_VERDICTS[value] end
  return name ~= 'retry_after' or math.abs(value) < 2 ^ 53
end

local function show(self, name)
  if SHOWN[name] then return self[name] end
  if name == 'upstream' then return handle.of(self.upstream) end
  if name == 'headers' then return handle.new(self.headers) end
  if name == 'decoded' then
    local ok, copy = pcall(deep_copy.plain, self.decoded)
    return ok and copy or nil
  end
  error(members.unknown('an outcome', name, READABLE), 2)
end

local function set(self, name, value)
  if not SETTABLE[name] then
    error('outcome.' .. tostring(name) .. ' cannot be assigned' .. members.suggestion(name, SETTABLE), 2)
  end
  if not is_fit(name, value) then error('outcome.' .. name .. ' cannot be this ' .. type(value), 2) end
  self[name] = value
end

local function header_of(self, name) return self[tostring(name)] end

handle.define('outcome', Outcome, show, set)
handle.define('live headers', Live, header_of)
handle.define('kept headers', Kept, header_of)

-- ---- Classification ----------------------------------------------------------------------------

-- A spending limit that does not say when it ends.
local function is_spend_limit(outcome)
  if outcome.retry_after or not outcome.shaped then return false end
  local details = outcome.shaped.details
  return outcome.type == 'billing_error'
    or type(details) == 'table' and details.error_code == 'enforced_spend_limit_reached'
end

local function judge_status(outcome, client_credential)
  local status = outcome.status
  outcome.type = outcome.type or api_error.type_of(status)
  outcome.retryable = RETRYABLE[status] or status >= 500
  outcome.verdict = VERDICTS[status] or (status >= 500 and 'failed' or 'good')
  if status >= 500 and outcome.type == 'overloaded_error' then outcome.verdict = 'overloaded' end
  if status == 429 and is_spend_limit(outcome) then outcome.verdict = 'spent' end
  if model_errors.is_unknown_model(status, api_error.message_of(outcome.decoded, outcome.body), outcome.decoded) then
    outcome.retryable, outcome.verdict = true, 'no_model'
  end
  if client_credential and (status == 401 or status == 403) then outcome.retryable = false end
  account_faults.judge(outcome)
end

local function judge_error(outcome, code)
  outcome.error = ffi.string(C.cc_error_name(code))
  outcome.timeout = error_codes.is_timeout(code)
  outcome.type = outcome.timeout and 'timeout_error' or 'api_error'
  outcome.retryable = not error_codes.is_neutral(code)
  outcome.verdict = (not outcome.retryable or code == C.CC_EROOM) and 'neutral' or 'failed'
  outcome.reason = ffi.string(C.cc_error_text(code))
  local words = type(outcome.decoded) == 'table' and api_error.message_of(outcome.decoded, '') or ''
  if words ~= '' then outcome.reason = outcome.reason .. ': ' .. words end
end

-- Copies the whole failure, because the attempt's memory may be used for another attempt.
local function keep_failure(exchange, attempt, outcome)
  local body = text(raw.body)
  body = api_error.data(body) or body
  outcome.body, outcome.complete, outcome.detail = body, raw.complete, text(raw.detail)
  outcome.headers = keep_headers(exchange, attempt.number, raw.headers)
  local decoded = body ~= '' and json.decode(body) or nil
  outcome.decoded, outcome.shaped = decoded, api_error.shaped(decoded)
  if outcome.shaped then
    outcome.type, outcome.message = api_error.kind(outcome.shaped.type), outcome.shaped.message
  end
  outcome.retry_after = response_headers.retry_after(outcome.headers)
  outcome.told_retry_after = outcome.retry_after
end

local function judge(exchange, attempt, outcome)
  local code, status = raw.error, raw.status
  local client_credential = attempt.upstream.credential == 'client'
  local success = status >= 200 and status < 300
  if success and outcome.shaped and code ~= C.CC_OK then
    outcome.error, outcome.event = ffi.string(C.cc_error_name(code)), true
    outcome.status = api_error.status_of(outcome.type or '')
    judge_status(outcome, client_credential)
  elseif code ~= C.CC_OK and status >= 400 then
    outcome.cut = true -- the status suffices without the rest of the body
    judge_status(outcome, client_credential)
  elseif code ~= C.CC_OK then
    if success then outcome.status = nil end
    judge_error(outcome, code)
  else
    judge_status(outcome, client_credential)
  end
  if status == 429 and not outcome.retry_after then
    outcome.reset_after = response_headers.reset_after(exchange, attempt.number)
  end
end

local function new(exchange, attempt)
  return setmetatable({
    exchange = exchange, upstream = attempt.upstream, number = attempt.number, attempt = attempt,
    script_handle = false,
  }, Outcome)
end

local function good(exchange, attempt)
  return (setmetatable({
    exchange = exchange, upstream = attempt.upstream, number = attempt.number, attempt = attempt, ok = true,
    status = raw.status, changed_bytes = raw.changed_bytes, script_handle = false,
  }, Outcome))
end

local function bad(exchange, attempt)
  local outcome = new(exchange, attempt)
  outcome.status = raw.status > 0 and raw.status or nil
  outcome.sent, outcome.changed_bytes = raw.sent, raw.changed_bytes
  if raw.usage_known then
    local upstream = attempt.upstream
    outcome.used_input, outcome.used_output =
      reservation.charged(raw.usage, upstream.key.provider:counts_cache_reads(upstream.model))
  end
  keep_failure(exchange, attempt, outcome)
  judge(exchange, attempt, outcome)
  local classify = attempt.key.provider.adapter.classify
  if classify then call.adapter(classify, handle.of(outcome), attempt.key.provider.visible) end
  return outcome
end

--- Reads the outcome of an attempt.
---@param exchange ccrelay.Exchange
---@param attempt ccrelay.Attempt
---@return ccrelay.Outcome? outcome nil when the exchange is over
---@return number? head_ms from sending until the response head; 0: none came
---@return number? gate_ms from sending until the outcome
function M.new(exchange, attempt)
  local code = C.cc_outcome(exchange.relay, exchange.handle, attempt.number, raw)
  if code ~= C.CC_OK then return nil end
  local is_success = raw.error == C.CC_OK and raw.status >= 200 and raw.status < 300
  local head_ms, gate_ms = raw.head_ms, raw.gate_ms
  return (is_success and good or bad)(exchange, attempt), head_ms, gate_ms
end

-- Returns the list of make(name, value) for each header of an answer that is still held.
local function each_header(outcome, make)
  local exchange, list = outcome.exchange, {}
  for index = 0, math.huge do
    local code = C.cc_outcome_header_at(exchange.relay, exchange.handle, outcome.number, index, name_slice,
      value_slice)
    if code ~= C.CC_OK then break end
    list[index + 1] = make(text(name_slice), text(value_slice))
  end
  return list
end

--- Returns all headers of an outcome, one per line.
---@param outcome ccrelay.Outcome
---@return string
function M.header_lines(outcome)
  return table.concat(each_header(outcome, function(name, value) return name .. ': ' .. value end), '\n')
end

--- Returns the names of all headers of an outcome, in lower case.
---@param outcome ccrelay.Outcome
---@return string[]
function M.header_names(outcome)
  return each_header(outcome, function(name) return string.lower(name) end)
end

--- Returns the outcome of an attempt that was not started because of a limit ('limited') or a breaker ('overloaded').
---@param exchange ccrelay.Exchange
---@param attempt ccrelay.Attempt
---@param reason 'limited'|'overloaded'
---@param pause number milliseconds
---@return ccrelay.Outcome
function M.not_started(exchange, attempt, reason, pause)
  local outcome = new(exchange, attempt)
  outcome.error, outcome.retryable, outcome.not_started = reason, true, true
  outcome.type = reason == 'limited' and 'rate_limit_error' or 'overloaded_error'
  outcome.retry_after, outcome.headers = pause / 1000, no_headers()
  return outcome
end

--- Returns the outcome of an attempt without a credential or a usable address.
---@param exchange ccrelay.Exchange
---@param attempt ccrelay.Attempt
---@param reason 'credentials'|'address'
---@param message string?
---@param final boolean? whether waiting does not help: an operator has to act first
---@return ccrelay.Outcome
function M.unsent(exchange, attempt, reason, message, final)
  local outcome = new(exchange, attempt)
  outcome.error, outcome.retryable, outcome.type, outcome.headers = reason, true, 'api_error', no_headers()
  outcome.reason, outcome.final = message or ('no ' .. reason), final or false
  return outcome
end

--- Marks a failure that says nothing about the upstream's health, after which the same upstream is tried again.
---@param outcome ccrelay.Outcome
function M.try_again(outcome)
  outcome.again, outcome.verdict = true, 'neutral'
end

--- Whether a value is an outcome of this exchange.
---@param value any
---@param exchange ccrelay.Exchange
---@return boolean
function M.is(value, exchange)
  return type(value) == 'table' and debug.getmetatable(value) == Outcome and rawget(value, 'exchange') == exchange
end

return M
