-- SPDX-License-Identifier: Apache-2.0
-- Writes the access log line of an exchange that has ended. In exchange.log it keeps what other modules note about the
-- exchange, for the line and for the counters.
local C = require 'ccrelay.c'
local ffi = require 'ffi'
local slice = require 'ccrelay.util.slice'
local error_codes = require 'ccrelay.util.error_codes'

---@class ccrelay.LogNotes exchange.log, written here only
---@field failure string|false name of the failure
---@field refused boolean whether the request was refused without an attempt
---@field malformed boolean whether the request was invalid
---@field minor boolean whether the line is of level debug

local M = {}

local function notes_of(exchange)
  local own = exchange.log
  if not own then
    own = { failure = false, refused = false, malformed = false, minor = false }
    exchange.log = own
  end
  return own
end

--- Notes a failure. The last note counts.
---@param exchange ccrelay.Exchange
---@param name string
function M.note_failure(exchange, name)
  notes_of(exchange).failure = name
end

--- Returns the failure that was noted.
---@param exchange ccrelay.Exchange
---@return string?
function M.failure(exchange)
  return exchange.log and exchange.log.failure or nil
end

--- Notes that the relay refused the request without an attempt.
---@param exchange ccrelay.Exchange
function M.note_refused(exchange)
  notes_of(exchange).refused = true
end

--- Notes that the request was invalid.
---@param exchange ccrelay.Exchange
function M.note_malformed(exchange)
  notes_of(exchange).malformed = true
end

--- Lowers the level of the line to debug.
---@param exchange ccrelay.Exchange
function M.mark_minor(exchange)
  notes_of(exchange).minor = true
end

local text = slice.text

--- Returns the name of the error with which an exchange ended.
---@param exchange ccrelay.Exchange
---@param report ffi.cdata* struct cc_report
---@return string?
function M.error_of(exchange, report)
  local failure, stream_error = M.failure(exchange), text(report.stream_error)
  if failure then return failure end
  if stream_error ~= '' then return stream_error end
  return report.error ~= C.CC_OK and ffi.string(C.cc_error_name(report.error)) or nil
end

-- Key and result of each attempt.
local function tried(exchange)
  local parts = {}
  for index, outcome in ipairs(exchange.outcomes) do
    local result = outcome.event and outcome.type or outcome.error or outcome.status
    parts[index] = outcome.upstream.key_id .. ':' .. tostring(result)
  end
  return #parts > 0 and table.concat(parts, ',') or nil
end

-- Keys of the attempts that were cancelled because another was faster.
local function raced(exchange)
  if not exchange.losers then return nil end
  local keys = {}
  for index, loser in ipairs(exchange.losers) do keys[index] = loser.upstream.key_id end
  return table.concat(keys, ',')
end

-- The message of TLS or the system for the first attempt that failed with one.
local function detail_of(exchange)
  for _, outcome in ipairs(exchange.outcomes) do
    if not outcome.ok and outcome.detail and outcome.detail ~= '' then return outcome.detail end
  end
end

local fields = {}

local function put(at, name, value)
  fields[at + 1], fields[at + 2] = name, value
  return at + 2
end

local function put_usage(at, report)
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

-- Costs differ by orders of magnitude.
local function put_cost(at, report, cost)
  if not cost or cost == 0 and not report.usage_known then return at end
  return put(at, 'cost', tonumber(string.format('%.6g', cost)))
end

local function put_answer(exchange, at, report)
  local detail, queue = detail_of(exchange), exchange.queue
  at = put(at, 'status', report.status)
  at = put(at, 'attempts', report.attempts)
  at = put(at, 'tried', tried(exchange))
  at = put(at, 'raced', raced(exchange))
  at = put(at, 'error', M.error_of(exchange, report))
  at = put(at, 'detail', detail and exchange.generation.logger.clean(detail) or nil)
  if queue and queue.waited_ms > 0 then at = put(at, 'queued_ms', round(queue.waited_ms)) end
  at = put(at, 'first_byte_ms', round(report.first_byte_ms))
  at = put(at, 'total_ms', round(report.total_ms))
  at = put(at, 'request_bytes', report.request_bytes)
  return put(at, 'response_bytes', report.response_bytes)
end

-- An answer that broke off is a warning, unless the client disconnected.
local function level_of(exchange, upstream, report)
  local is_broken = report.error ~= C.CC_OK and not error_codes.is_by_client(report.error)
  if upstream and (report.stream_error.size > 0 or is_broken) then return 'warn' end
  return exchange.log and exchange.log.minor and 'debug' or 'info'
end

--- Writes the line.
---@param exchange ccrelay.Exchange
---@param report ffi.cdata* struct cc_report
---@param upstream ccrelay.Upstream? the one whose answer the client got
---@param cost number? in the currency of routing.prices; nil: unknown
---@param switched string? what changed since the conversation's last request: 'key', 'org' or 'provider'
function M.write(exchange, report, upstream, cost, switched)
  local logger, cache, level = exchange.generation.logger, exchange.cache, level_of(exchange, upstream, report)
  if not logger:writes(level) then return end
  local at = put(0, 'id', exchange.id)
  at = put(at, 'client', exchange.client.name)
  at = put(at, 'peer', exchange.peer)
  at = put(at, 'method', exchange.method)
  at = put(at, 'path', logger.clean(exchange.path))
  at = put(at, 'model', cache.model and logger.clean(cache.model) or nil)
  at = put(at, 'stream', cache.stream or report.stream)
  at = put(at, 'provider', upstream and upstream.provider or nil)
  at = put(at, 'key', upstream and upstream.key_id or nil)
  at = put(at, 'switched', switched)
  at = put_answer(exchange, at, report)
  at = put_usage(at, report)
  at = put_cost(at, report, cost)
  local last = exchange.outcomes[#exchange.outcomes]
  at = put(at, 'changed_bytes', last and last.changed_bytes or nil)
  at = put(at, 'prefix_broken', exchange.prefix_broken or nil)
  logger:line(level, 'exchange', fields, at)
end

return M
