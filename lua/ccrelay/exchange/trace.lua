-- SPDX-License-Identifier: Apache-2.0
-- Takes the client's trace from its request and passes it on to upstreams, as W3C Trace Context says
-- (https://www.w3.org/TR/trace-context/). Without traces.endpoint it does nothing, and the client's headers pass
-- unchanged.
local random = require 'ccrelay.util.random'
local request_header = require 'ccrelay.exchange.request_header'

local M = {}

local MOST_SPANS = 65535

---@class ccrelay.Trace exchange.trace, written here only
---@field id string 32 hex digits
---@field parent string|false id of the client's span
---@field prefix string the first 12 of the 16 digits of all span ids; 0000 follows for the exchange
---@field sampled boolean false: the client does not want it recorded
---@field state string|false the client's tracestate; "": one that is not passed on
---@field spans table<ccrelay.Attempt, integer> the last four digits of attempts
---@field count integer

local NO_TRACE, NO_SPAN = ('0'):rep(32), ('0'):rep(16)

--- Reads a traceparent header. Of versions above 00 it reads the fields that 00 has; ff is invalid.
---@param value string?
---@return string? trace_id nil if the header is missing or not valid
---@return string? span_id
---@return boolean? sampled
function M.parse(value)
  if not value then return nil end
  local version, id, span, flags, rest = string.match(value, '^(%x%x)%-(%x+)%-(%x+)%-(%x%x)(.*)$')
  if not version or #id ~= 32 or #span ~= 16 or string.find(value, '%u') then return nil end
  if version == 'ff' or id == NO_TRACE or span == NO_SPAN then return nil end
  if rest ~= '' and (version == '00' or string.sub(rest, 1, 1) ~= '-') then return nil end
  return id, span, tonumber(flags, 16) % 2 == 1
end

-- Without a valid traceparent, a tracestate has no meaning and is dropped.
local function state_of(exchange, is_valid)
  if not request_header.first(exchange, 'tracestate') then return false end
  return is_valid and request_header.of(exchange).tracestate or ''
end

--- Begins the trace of an exchange, or continues the client's.
---@param exchange ccrelay.Exchange
function M.begin(exchange)
  if not exchange.generation.traces then return end
  local id, parent, sampled = M.parse(request_header.first(exchange, 'traceparent'))
  exchange.trace = {
    id = id or random.id() .. random.id(), parent = parent or false, sampled = not id or sampled,
    prefix = string.sub(random.id(), 1, 12), state = state_of(exchange, id ~= nil), spans = {}, count = 0,
  }
end

--- Gives the request of an attempt a span id of its own.
---@param exchange ccrelay.Exchange
---@param attempt ccrelay.Attempt
---@param request ccrelay.Request
function M.propagate(exchange, attempt, request)
  local own = exchange.trace
  own.count = math.min(own.count + 1, MOST_SPANS)
  own.spans[attempt] = own.count
  local flags = own.sampled and '01' or '00'
  request:header('traceparent', ('00-%s-%s%04x-%s'):format(own.id, own.prefix, own.count, flags))
  if own.state then request:header('tracestate', own.state) end
end

return M
