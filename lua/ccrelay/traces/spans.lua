-- SPDX-License-Identifier: Apache-2.0
-- Makes spans of OpenTelemetry from the record of an exchange: one of kind SERVER for the exchange, and below it one of
-- kind CLIENT for each attempt. Names of attributes are those of the semantic conventions for HTTP and for generative
-- AI (https://opentelemetry.io/docs/specs/semconv/gen-ai/); those of the relay's own begin with "ccrelay.".
-- Values are in the JSON of OTLP (https://opentelemetry.io/docs/specs/otlp/#json-protobuf-encoding): ids in hex,
-- 64-bit integers as texts.
local json = require 'ccrelay.util.json'

local M = {}

local SERVER, CLIENT = 2, 3
local ERROR = 2

local PATHS = { messages = '/v1/messages', count_tokens = '/v1/messages/count_tokens' }
local OPERATIONS = { messages = 'chat', count_tokens = 'count_tokens' }

-- Types of providers that the conventions name otherwise.
local PROVIDERS = {
  bedrock = 'aws.bedrock', mantle = 'aws.bedrock', claude_aws = 'anthropic', azure = 'azure.ai.inference',
  vertex = 'gcp.vertex_ai', claude_google = 'anthropic',
}

--- Returns the value of gen_ai.provider.name for a type of provider.
---@param kind string
---@return string
function M.provider_name(kind)
  return PROVIDERS[kind] or kind
end

-- A moment in nanoseconds. A number of Lua can hold microseconds only.
local function nanoseconds(ms)
  return ('%.0f000'):format(math.floor(ms * 1000 + 0.5))
end

local function typed(value)
  if type(value) == 'string' then return { stringValue = json.clean(value) } end
  if type(value) == 'boolean' then return { boolValue = value } end
  if value % 1 == 0 then return { intValue = ('%.0f'):format(value) } end
  return { doubleValue = value }
end

local function put(attributes, name, value)
  if value ~= nil then attributes[#attributes + 1] = { key = name, value = typed(value) } end
end

local function put_always_double(attributes, name, value)
  if value then attributes[#attributes + 1] = { key = name, value = { doubleValue = value } } end
end

-- ---- Attempts ----------------------------------------------------------------------------------

-- The attempt whose answer the client got: the last with the key that served, which was not cancelled.
local function chosen_of(record)
  for index = #record.attempts, 1, -1 do
    local attempt = record.attempts[index]
    if attempt.key == record.key and not attempt.raced and not attempt.error then return attempt end
  end
end

-- gen_ai.usage.input_tokens includes the tokens of the cache; those of the API do not.
local function put_usage(attributes, tokens)
  local written = tokens.cache_write_5m + tokens.cache_write_1h
  put(attributes, 'gen_ai.usage.input_tokens', tokens.input + tokens.cache_read + written)
  put(attributes, 'gen_ai.usage.output_tokens', tokens.output)
  put(attributes, 'gen_ai.usage.cache_read.input_tokens', tokens.cache_read)
  put(attributes, 'gen_ai.usage.cache_creation.input_tokens', written)
end

local function attempt_attributes(record, attempt, settings)
  local list = {}
  put(list, 'gen_ai.operation.name', OPERATIONS[record.endpoint])
  put(list, 'gen_ai.provider.name', settings.providers[attempt.provider] or attempt.provider)
  put(list, 'gen_ai.request.model', attempt.model)
  put(list, 'http.response.status_code', attempt.status)
  put(list, 'error.type', attempt.error)
  put(list, 'ccrelay.provider', attempt.provider)
  put(list, 'ccrelay.key', attempt.key)
  put(list, 'ccrelay.first_byte_ms', attempt.first_byte_ms)
  if attempt.raced then put(list, 'ccrelay.cancelled', true) end
  if attempt == chosen_of(record) and record.tokens then put_usage(list, record.tokens) end
  return list
end

local function attempt_name(record, attempt)
  local operation = OPERATIONS[record.endpoint] or 'request'
  return attempt.model and operation .. ' ' .. json.clean(attempt.model) or operation
end

local function is_failed(attempt)
  return attempt.error ~= nil or (attempt.status or 0) >= 400
end

local function span_of_attempt(record, attempt, settings)
  local began = record.at + attempt.at_ms
  return {
    traceId = record.trace_id, spanId = attempt.span_id, parentSpanId = record.span_id, kind = CLIENT,
    name = attempt_name(record, attempt), startTimeUnixNano = nanoseconds(began),
    endTimeUnixNano = nanoseconds(began + (attempt.total_ms or 0)),
    attributes = attempt_attributes(record, attempt, settings),
    status = is_failed(attempt) and { code = ERROR, message = attempt.detail and json.clean(attempt.detail) } or nil,
  }
end

-- ---- The exchange ------------------------------------------------------------------------------

local function exchange_attributes(record)
  local list = {}
  put(list, 'http.request.method', PATHS[record.endpoint] and 'POST' or nil)
  put(list, 'url.path', PATHS[record.endpoint])
  put(list, 'http.response.status_code', record.status)
  put(list, 'http.request.body.size', record.request_bytes)
  put(list, 'http.response.body.size', record.response_bytes)
  put(list, 'error.type', record.error)
  put(list, 'gen_ai.request.model', record.model)
  put(list, 'ccrelay.request_id', record.id)
  put(list, 'ccrelay.upstream_request_id', record.upstream_id)
  put(list, 'ccrelay.client', record.client)
  put(list, 'ccrelay.class', record.class)
  put(list, 'ccrelay.stream', record.stream)
  put(list, 'ccrelay.provider', record.provider)
  put(list, 'ccrelay.key', record.key)
  put(list, 'ccrelay.switched', record.switched)
  put(list, 'ccrelay.attempts', record.attempts_made)
  put(list, 'ccrelay.queued_ms', record.queued_ms)
  put(list, 'ccrelay.first_byte_ms', record.first_byte_ms)
  put_always_double(list, 'ccrelay.cost', record.cost)
  return list
end

-- Of a server, only a failure of its own is an error (https://opentelemetry.io/docs/specs/semconv/http/http-spans/).
local function is_error(record)
  local status = record.status or 0
  return status >= 500 or status == 0 or record.error ~= nil and status < 400
end

--- Returns the spans of an exchange; none if it is not traced.
---@param record ccrelay.Record
---@param settings { providers: table<string, string> } gen_ai.provider.name by name of the provider
---@return table[]
function M.of(record, settings)
  if not record.trace_id then return {} end
  local path = PATHS[record.endpoint]
  local spans = { {
    traceId = record.trace_id, spanId = record.span_id, parentSpanId = record.parent_span_id, kind = SERVER,
    name = path and 'POST ' .. path or record.endpoint or 'request', startTimeUnixNano = nanoseconds(record.at),
    endTimeUnixNano = nanoseconds(record.at + record.total_ms), attributes = exchange_attributes(record),
    status = is_error(record) and { code = ERROR } or nil,
  } }
  for _, attempt in ipairs(record.attempts) do
    if attempt.span_id then spans[#spans + 1] = span_of_attempt(record, attempt, settings) end
  end
  return spans
end

return M
