-- SPDX-License-Identifier: Apache-2.0
--- A mock provider for tests and demonstrations: answers like the Messages API, and fails on request.
---   ccrelay run examples/mock.lua --listen 127.0.0.1:9001
--- Faults come from the settings below, or from the header x-mock-fault of a request:
---   status=529;retry-after=2   answers with this status; other names become headers of the answer
---   delay=MS     waits first                   reset        resets the connection
---   cut=BYTES    resets after so many bytes    garbage      bytes that are not HTTP
---   stall=N      silent after N events (0: before the head)
---   error-event=N  an error event after N events           type=NAME  its type, or that of a status
---   empty        a 200 without a body          html         an HTML page in place of an answer
--- x-mock-schedule: FAULT | FAULT | ...  takes faults in turn, one for each request ("" is none).
--- x-mock-text: TEXT  sets the text of the answer;  x-mock-tool: NAME  calls that tool.
local relay = require 'ccrelay'
local json = relay.json

-- Defaults for requests that do not set their own. Save the file, and the next request uses them.
local settings = {
  key = '',          -- the key that clients must send; '' accepts any
  fault = '',        -- for every request, for example 'status=529;retry-after=2'
  schedule = {},     -- or one fault for each request in turn, for example {'', 'status=500', 'cut=600'}
  delay_ms = 0,      -- before an answer begins
  gap_ms = 10,       -- between two events of a stream
  stall_ms = 600000, -- how long a stall lasts
}

local TYPES = {
  [400] = 'invalid_request_error', [401] = 'authentication_error', [402] = 'billing_error', [403] = 'permission_error',
  [404] = 'not_found_error', [413] = 'request_too_large', [429] = 'rate_limit_error', [504] = 'timeout_error',
  [529] = 'overloaded_error',
}
local SIGNATURE = 'bW9jayBzaWduYXR1cmUg'
local CUT_PAUSE_MS = 50 -- a reset overtakes bytes that have not been read
local PAGE = '<html><body><h1>Bad gateway</h1></body></html>\n'

-- ---- Reading the request -----------------------------------------------------------------------

local function trim(text)
  return (string.gsub(string.gsub(text, '^%s+', ''), '%s+$', ''))
end

local function split(text, mark)
  local parts = {}
  for part in string.gmatch(text .. mark, '([^' .. mark .. ']*)' .. mark) do parts[#parts + 1] = trim(part) end
  return parts
end

-- 'status=529;retry-after=2' -> {status = '529', ['retry-after'] = '2'}
local function parse_fault(text)
  local fault = {}
  for _, part in ipairs(split(text, ';')) do
    local name, value = string.match(part, '^([^=]+)=?(.*)$')
    if name then fault[trim(name)] = trim(value) end
  end
  return fault
end

local function next_of(schedule, name)
  if #schedule == 0 then return nil end
  local count = relay.cell('mock ' .. name):add(1)
  return schedule[(count - 1) % #schedule + 1]
end

local function fault_of(exchange)
  local header = exchange.header
  local schedule = header['x-mock-schedule'] or relay.cell('mock schedule'):text()
  return parse_fault(header['x-mock-fault'] or schedule ~= '' and next_of(split(schedule, '|'), schedule)
    or next_of(settings.schedule, 'schedule') or settings.fault)
end

local function blocks_of(message)
  local content = message.content
  if type(content) == 'string' then return { { type = 'text', text = content } } end
  return type(content) == 'table' and content or {}
end

local function last_of(messages, role)
  for index = #messages, 1, -1 do
    if messages[index].role == role then return messages[index] end
  end
  return nil
end

local function text_in(content)
  if type(content) == 'string' then return content end
  local parts = {}
  for _, block in ipairs(type(content) == 'table' and content or {}) do parts[#parts + 1] = block.text end
  return table.concat(parts, '\n')
end

-- What the user typed: without the context that Claude Code puts beside it.
local function typed(text)
  local open, close = '<system-reminder>', '</system-reminder>'
  local from = string.find(text, open, 1, true)
  if not from then return text end
  local _, last = string.find(text, close, from, true)
  return trim(string.sub(text, 1, from - 1) .. typed(last and string.sub(text, last + 1) or ''))
end

local function result_in(message)
  for _, block in ipairs(blocks_of(message)) do
    if block.type == 'tool_result' then return text_in(block.content) end
  end
  return nil
end

-- The words of a text without punctuation around them; only the end of a long text.
local function words(text)
  local list = {}
  for word in string.gmatch(string.sub(text, -2000), '%S+') do
    list[#list + 1] = (string.gsub(string.gsub(word, '^["\'`(]+', ''), '["\'`),.;:!?]+$', ''))
  end
  return list
end

-- ---- Refusals ----------------------------------------------------------------------------------

local function problem(status, message, kind)
  local error = { type = kind or TYPES[status] or 'api_error', message = message }
  return json.encode { type = 'error', error = error, request_id = 'req_mock' }
end

local function refuse(exchange, status, message, headers, kind)
  headers = headers or {}
  headers['content-type'] = headers['content-type'] or 'application/json'
  return exchange:respond { status = status, headers = headers, body = problem(status, message, kind) }
end

local function is_foreign(block)
  return block.type == 'thinking' and string.sub(block.signature or '', 1, #SIGNATURE) ~= SIGNATURE
end

local function invalid(exchange, messages)
  if not exchange.header['anthropic-version'] then return 'anthropic-version: header is required' end
  local limit = exchange:field 'max_tokens'
  if limit == nil then return 'max_tokens: Field required' end
  if type(limit) ~= 'number' or limit < 1 or limit % 1 ~= 0 then
    return 'max_tokens: Input should be greater than or equal to 1'
  end
  if messages == nil then return 'messages: Field required' end
  if type(messages) ~= 'table' or #messages == 0 then return 'messages: at least one message is required' end
  for index, message in ipairs(messages) do
    local where = 'messages.' .. index - 1 .. '.content'
    if type(message) ~= 'table' or message.content == nil then return where .. ': Field required' end
    for place, block in ipairs(blocks_of(message)) do
      if is_foreign(block) then return where .. '.' .. place - 1 .. ': Invalid `signature` in `thinking` block' end
    end
  end
  return nil
end

local function stranger(exchange)
  if settings.key == '' then return false end
  local header = exchange.header
  return header['x-api-key'] ~= settings.key and header.authorization ~= 'Bearer ' .. settings.key
end

-- ---- The answer --------------------------------------------------------------------------------

local function tool_called(exchange, tools, asked)
  local wanted = exchange.header['x-mock-tool']
  local said = {}
  for _, word in ipairs(words(asked)) do said[string.lower(word)] = true end
  for _, tool in ipairs(tools) do
    local name = tool.name
    if name == wanted or not wanted and type(name) == 'string' and said[string.lower(name)] then return tool end
  end
  return nil
end

-- A value for a member of a tool's input: a path if one is expected, else the last word.
local function value_for(name, schema, asked)
  local kind = type(schema) == 'table' and schema.type
  if kind == 'number' or kind == 'integer' then return 1 end
  if kind == 'boolean' then return true end
  if kind == 'array' then return json.array {} end
  if kind == 'object' then return {} end
  if type(schema) == 'table' and type(schema.enum) == 'table' then return schema.enum[1] end
  local list = words(asked)
  if string.find(name, 'path') or string.find(name, 'file') then
    for _, word in ipairs(list) do
      if string.find(word, '^/.') then return word end
    end
  end
  return list[#list] or ''
end

local function input_for(tool, asked)
  local schema = type(tool.input_schema) == 'table' and tool.input_schema or {}
  local properties = type(schema.properties) == 'table' and schema.properties or {}
  local input = {}
  for _, name in ipairs(type(schema.required) == 'table' and schema.required or {}) do
    input[name] = value_for(name, properties[name], asked)
  end
  return input
end

local function thought(exchange)
  local thinking = json.decode(exchange:field 'thinking' or 'null')
  if type(thinking) ~= 'table' or thinking.type == 'disabled' then return nil end
  local text = thinking.display == 'omitted' and '' or 'The request is clear; the answer is short.'
  local signature = SIGNATURE .. string.format('%08d==', exchange.tokens_estimate)
  return { type = 'thinking', thinking = text, signature = signature }
end

local function compose(exchange, messages)
  local asked_in = last_of(messages, 'user') or messages[#messages]
  local asked = typed(text_in(asked_in.content))
  local result = result_in(asked_in)
  local blocks = { thought(exchange) }
  local tools = json.decode(exchange:field 'tools' or 'null')
  local tool = not result and type(tools) == 'table' and tool_called(exchange, tools, asked)
  if tool then
    local id = string.format('toolu_mock%08d', relay.cell('mock tool calls'):add(1))
    blocks[#blocks + 1] = { type = 'text', text = 'I use ' .. tool.name .. '.' }
    blocks[#blocks + 1] = { type = 'tool_use', id = id, name = tool.name, input = input_for(tool, asked) }
    return blocks, 'tool_use'
  end
  local text = exchange.header['x-mock-text'] or result and 'The tool says: ' .. result or 'You said: ' .. asked
  blocks[#blocks + 1] = { type = 'text', text = text }
  return blocks, 'end_turn'
end

-- Input tokens are counted as with a prompt cache: the first turn of a conversation writes it, later ones read it.
local function usage_of(exchange, messages, blocks)
  local input = exchange.tokens_estimate
  local system = exchange:field 'system'
  local cached = type(system) == 'string' and string.find(system, '"cache_control"', 1, true) ~= nil
  local written = cached and #messages <= 2 and math.floor(input * 0.8) or 0
  local read = cached and #messages > 2 and math.floor(input * 0.8) or 0
  local output = math.ceil(#json.encode(blocks) / 4)
  return {
    input_tokens = input - written - read, output_tokens = output, service_tier = 'standard',
    cache_creation_input_tokens = written, cache_read_input_tokens = read,
    cache_creation = { ephemeral_5m_input_tokens = written, ephemeral_1h_input_tokens = 0 },
  }
end

local function message_of(exchange, messages)
  local blocks, reason = compose(exchange, messages)
  return {
    id = string.format('msg_mock%08d', relay.cell('mock messages'):add(1)), type = 'message', role = 'assistant',
    model = exchange.model, content = json.array(blocks), stop_reason = reason, stop_sequence = json.null,
    usage = usage_of(exchange, messages, blocks),
  }
end

-- ---- Sending the answer ------------------------------------------------------------------------

local function event(name, data)
  data.type = name
  return 'event: ' .. name .. '\ndata: ' .. json.encode(data) .. '\n\n'
end

-- Splits text into pieces of about 24 bytes without cutting a UTF-8 character.
local function pieces(text)
  local list, from = {}, 1
  while from <= #text do
    local to = from + 23
    while (string.byte(text, to + 1) or 0) >= 0x80 and string.byte(text, to + 1) < 0xC0 do to = to + 1 end
    list[#list + 1] = string.sub(text, from, to)
    from = to + 1
  end
  return list
end

local function deltas_of(block)
  local kind, member, text = 'text_delta', 'text', block.text
  if block.type == 'tool_use' then kind, member, text = 'input_json_delta', 'partial_json', json.encode(block.input) end
  if block.type == 'thinking' then kind, member, text = 'thinking_delta', 'thinking', block.thinking end
  local list = {}
  for _, piece in ipairs(pieces(text)) do list[#list + 1] = { type = kind, [member] = piece } end
  if block.signature then list[#list + 1] = { type = 'signature_delta', signature = block.signature } end
  return list
end

local function emptied(block)
  if block.type == 'text' then return { type = 'text', text = '' } end
  if block.type == 'thinking' then return { type = 'thinking', thinking = '', signature = '' } end
  return { type = 'tool_use', id = block.id, name = block.name, input = {} }
end

local function events_of(message)
  local list = {}
  local blocks, usage, reason = message.content, message.usage, message.stop_reason
  message.content, message.stop_reason = json.array {}, json.null
  list[1] = event('message_start', { message = message })
  list[2] = event('ping', {})
  for index, block in ipairs(blocks) do
    list[#list + 1] = event('content_block_start', { index = index - 1, content_block = emptied(block) })
    for _, delta in ipairs(deltas_of(block)) do
      list[#list + 1] = event('content_block_delta', { index = index - 1, delta = delta })
    end
    list[#list + 1] = event('content_block_stop', { index = index - 1 })
  end
  local delta = { stop_reason = reason, stop_sequence = json.null }
  list[#list + 1] = event('message_delta', { delta = delta, usage = { output_tokens = usage.output_tokens } })
  list[#list + 1] = event('message_stop', {})
  return list
end

-- Returns how many events are sent before the fault, and what happens then.
local function stream(exchange, message, fault)
  local list = events_of(message)
  local left = tonumber(fault.cut) or math.huge
  local stall, broken = tonumber(fault.stall), fault['error-event'] and (tonumber(fault['error-event']) or 0)
  return exchange:stream(function(writer)
    for index, text in ipairs(list) do
      if stall == index - 1 then writer:sleep(settings.stall_ms) end
      if broken == index - 1 then
        writer:write('event: error\ndata: ' .. problem(529, 'Overloaded', fault.type) .. '\n\n')
        return
      end
      if #text > left then
        writer:write(string.sub(text, 1, left))
        writer:sleep(CUT_PAUSE_MS)
        writer:abort { reset = true }
        return
      end
      writer:write(text)
      left = left - #text
      if settings.gap_ms > 0 and index < #list then writer:sleep(settings.gap_ms) end
    end
  end)
end

-- Faults of the connection; nil when there is none of them.
local function fail_to_answer(exchange, fault)
  if fault.reset then return exchange:abort { reset = true } end
  if fault.garbage then return exchange:abort { raw = '\0\1\2 this is not HTTP\r\n\r\n' } end
  if fault.stall == '0' or fault.stall and not exchange.stream then
    exchange:sleep(settings.stall_ms)
    return exchange:abort {}
  end
end

-- Answers in place of the message; nil when none of these faults is asked for.
local function fail_with_answer(exchange, fault)
  local status = tonumber(fault.status)
  if fault.html then
    return exchange:respond { status = status or 200, headers = { ['content-type'] = 'text/html' }, body = PAGE }
  end
  if fault.empty then return exchange:respond { status = status or 200, body = '' } end
  if not status then return nil end
  local headers = {}
  for name, value in pairs(fault) do
    if name ~= 'status' and name ~= 'delay' and name ~= 'type' then headers[name] = value end
  end
  return refuse(exchange, status, 'Fault ' .. status .. ' was asked for', headers, fault.type)
end

local function fail(exchange, fault)
  local delay = (tonumber(fault.delay) or 0) + settings.delay_ms
  if delay > 0 then exchange:sleep(delay) end
  return fail_to_answer(exchange, fault) or fail_with_answer(exchange, fault)
end

local function plain(exchange, message, fault)
  local text = json.encode(message)
  local head = 'HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: ' .. #text .. '\r\n\r\n'
  if fault.cut then return exchange:abort { raw = head .. string.sub(text, 1, tonumber(fault.cut)) } end
  if fault['error-event'] then text = problem(529, 'Overloaded', fault.type) end
  return exchange:respond { headers = { ['content-type'] = 'application/json' }, body = text }
end

return function(exchange)
  if stranger(exchange) then return refuse(exchange, 401, 'invalid x-api-key', { ['x-should-retry'] = 'false' }) end
  local fault = fault_of(exchange)
  local failed = fail(exchange, fault)
  if failed then return failed end
  local messages = exchange:field 'messages'
  messages = messages and (json.decode(messages) or {})
  local fault_in = invalid(exchange, messages)
  if fault_in then return refuse(exchange, 400, fault_in) end
  local message = message_of(exchange, messages)
  if exchange.stream then return stream(exchange, message, fault) end
  return plain(exchange, message, fault)
end
