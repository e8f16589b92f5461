-- SPDX-License-Identifier: Apache-2.0
-- The helper that sends spans to traces.endpoint (process/helpers.lua runs it), in batches, as OTLP over HTTP
-- (https://opentelemetry.io/docs/specs/otlp/#otlphttp). It reads the records of exchanges, so requests never wait for
-- it. Spans that cannot be sent wait, up to a bound, and are sent again with growing pauses; dropped ones are counted.
local C = require 'ccrelay.c'
local address = require 'ccrelay.net.address'
local cell = require 'ccrelay.shared.cell'
local cjson = require 'cjson'
local date = require 'ccrelay.util.date'
local each = require 'ccrelay.util.each'
local fetch = require 'ccrelay.net.fetch'
local ffi = require 'ffi'
local json = require 'ccrelay.util.json'
local random = require 'ccrelay.util.random'
local records = require 'ccrelay.log.records'
local redact = require 'ccrelay.log.redact'
local series = require 'ccrelay.log.series'
local spans = require 'ccrelay.traces.spans'
local task = require 'ccrelay.sched.task'

local M = { name = 'traces' }

local TICK_MS = 200
local READ = 512          -- records at a time
local BATCH = 512         -- spans in a request, about: those of one exchange stay together
local DELAY_MS = 1000     -- a span waits so long for others
local MOST = 8192         -- spans that wait
local TIMEOUT_MS = 10000
local FIRST_PAUSE_MS, LONGEST_PAUSE_MS = 1000, 30000
local LAST_MS = 2000      -- for what waits at the end
local LONGEST_FAULT = 300 -- bytes of a fault, which may have words of the collector

-- The statuses after which the specification allows a repetition.
local RETRYABLE = { [429] = true, [502] = true, [503] = true, [504] = true }

local dropped = series.new('spans_dropped_total', { 'reason' })

---@class ccrelay.TraceSettings
---@field endpoint string
---@field headers table<string, string>
---@field service string service.name
---@field providers table<string, string> gen_ai.provider.name by name of the provider

---@class ccrelay.Exporter
---@field settings ccrelay.TraceSettings
---@field clean fun(text: string): string removes what the headers hold
---@field say fun(level: string, text: string)
---@field from integer number of the next record to read
---@field waiting { spans: string, count: integer, number: integer }[] one for each exchange: its spans as JSON, which
--- takes less memory than tables
---@field count integer spans that wait
---@field since number moment (cc_now) since when the first waits
---@field sending boolean
---@field pause_until number moment (cc_now) before which nothing is sent again
---@field pause_ms number
---@field fault string|false why the last request failed
local Exporter = {}
Exporter.__index = Exporter

--- Returns what the helper needs of a configuration.
---@param configuration table
---@return ccrelay.TraceSettings? settings nil if nothing is to be sent
function M.settings(configuration)
  local traces = configuration.traces or {}
  if not traces.endpoint then return nil end
  local providers = {}
  for _, provider in ipairs(configuration.providers or {}) do
    providers[provider.name] = spans.provider_name(provider.type)
  end
  return { endpoint = traces.endpoint, headers = traces.headers or {}, service = traces.service_name,
    providers = providers }
end

local function position() return cell.number 'traces:next' end

--- Makes an exporter. It continues after the last record that the exporter before it has sent.
---@param settings ccrelay.TraceSettings
---@param say fun(level: string, text: string) writes to the log
---@return ccrelay.Exporter
function M.new(settings, say)
  local sent = C.cc_cell_get(position())
  local self = setmetatable({
    say = say, from = sent > 0 and sent or C.cc_records_next(), waiting = {}, count = 0, since = 0,
    sending = false, pause_until = 0, pause_ms = FIRST_PAUSE_MS, fault = false,
  }, Exporter)
  self:follow(settings)
  return self
end

--- Takes the settings in force.
---@param settings ccrelay.TraceSettings
function Exporter:follow(settings)
  if settings == self.settings then return end
  self.settings, self.clean = settings, redact.new { traces = { headers = settings.headers } }
end

-- ---- Reading -----------------------------------------------------------------------------------

function Exporter:add(record)
  local list = spans.of(record, self.settings)
  if #list == 0 then return end
  if self.count + #list > MOST then return dropped:add(#list, 'queue_full') end
  if self.count == 0 then self.since = C.cc_now() end
  for index, span in ipairs(list) do list[index] = cjson.encode(span) end
  self.waiting[#self.waiting + 1] = { spans = table.concat(list, ','), count = #list, number = record.number }
  self.count = self.count + #list
end

--- Queues the spans of the exchanges that have ended since the last call.
function Exporter:read()
  repeat
    local list, next_number, lost = records.read(self.from, READ)
    if lost > 0 then dropped:add(lost, 'records_lost') end
    for _, record in ipairs(list) do self:add(record) end
    self.from = next_number
  until #list < READ
end

-- ---- Sending -----------------------------------------------------------------------------------

local BODY = '{"resourceSpans":[{"resource":%s,"scopeSpans":[{"scope":%s,"spans":[%s]}]}]}'

local function body_of(settings, list)
  local version = ffi.string(C.cc_version())
  local resource = { attributes = {
    { key = 'service.name', value = { stringValue = settings.service } },
    { key = 'service.version', value = { stringValue = version } },
  } }
  return BODY:format(cjson.encode(resource), cjson.encode { name = 'ccrelay', version = version },
    table.concat(list, ','))
end

-- The spans of the next request as a list of texts, one for each exchange, and how many spans these are.
function Exporter:batch()
  local list, count = {}, 0
  for index, entry in ipairs(self.waiting) do
    if count >= BATCH then break end
    list[index], count = entry.spans, count + entry.count
  end
  return list, count
end

function Exporter:forget(taken, count)
  C.cc_cell_set(position(), self.waiting[taken].number + 1)
  local left = {}
  for index = taken + 1, #self.waiting do left[#left + 1] = self.waiting[index] end
  self.waiting, self.count, self.since = left, self.count - count, C.cc_now()
  self.pause_ms, self.pause_until = FIRST_PAUSE_MS, 0
end

-- A collector may tell in its words which header it refuses.
function Exporter:note(fault)
  fault = fault and string.sub(self.clean(fault), 1, LONGEST_FAULT)
  if fault and fault ~= self.fault then self.say('warn', 'spans cannot be sent: ' .. fault) end
  if not fault and self.fault then self.say('info', 'spans can be sent again') end
  self.fault = fault
end

-- Seconds or a date (RFC 9110, section 10.2.3), in ms; nil without either.
local function pause_of(answer)
  local text = answer and answer.header 'retry-after'
  local seconds = text and tonumber(text)
  local moment = text and not seconds and date.http(text)
  local pause = seconds and seconds * 1000 or moment and moment - C.cc_time()
  return pause and math.min(math.max(pause, 0), LONGEST_PAUSE_MS)
end

function Exporter:put_off(answer)
  local pause = pause_of(answer) or self.pause_ms * (0.5 + random.fraction() / 2)
  self.pause_until = C.cc_now() + pause
  self.pause_ms = math.min(self.pause_ms * 2, LONGEST_PAUSE_MS)
end

-- Returns the number of spans that the collector refused although it took the request, and its reason.
local function refused_in(answer, count)
  local decoded = json.decode(answer.body)
  local partial = type(decoded) == 'table' and decoded.partialSuccess
  local refused = type(partial) == 'table' and tonumber(partial.rejectedSpans) or 0
  if refused < 1 or refused ~= refused then return 0, nil end -- NaN is not itself
  local why = partial.errorMessage
  return math.min(math.floor(refused), count), type(why) == 'string' and why ~= '' and why or 'no reason given'
end

function Exporter:accepted(answer, taken, count)
  local refused, why = refused_in(answer, count)
  if refused > 0 then dropped:add(refused, 'refused') end
  cell.add('count:spans_sent', count - refused)
  self:note(why and 'the collector refused some: ' .. why or false)
  self:forget(taken, count)
end

function Exporter:answered(answer, message, taken, count)
  if not answer then
    self:note(message)
    return self:put_off(nil)
  end
  if answer.status >= 200 and answer.status < 300 then return self:accepted(answer, taken, count) end
  self:note('the collector answered with status ' .. answer.status)
  if RETRYABLE[answer.status] then return self:put_off(answer) end
  dropped:add(count, 'refused')
  self:forget(taken, count)
end

local function headers_of(settings)
  local headers = { ['content-type'] = 'application/json' }
  for name, value in each(settings.headers) do headers[string.lower(name)] = value end
  return headers
end

--- Sends a batch and waits for the answer. Within a task only.
function Exporter:send()
  local list, count = self:batch()
  self.sending = true
  local answer, message = fetch.send {
    url = self.settings.endpoint, method = 'POST', headers = headers_of(self.settings),
    body = body_of(self.settings, list), timeout_ms = TIMEOUT_MS,
  }
  self.sending = false
  self:answered(answer, message, #list, count)
end

--- Whether a batch is to be sent now.
---@return boolean
function Exporter:is_due()
  if self.sending or self.count == 0 then return false end
  local now = C.cc_now()
  return now >= self.pause_until and (self.count >= BATCH or now - self.since >= DELAY_MS)
end

-- ---- The process -------------------------------------------------------------------------------

local function send_in_task(self)
  task.start(function() self:send() end)
end

-- Sends what is left, once.
local function finish(self, link)
  local due = C.cc_now() + LAST_MS
  self:read()
  self.pause_until = 0
  link:wait(LAST_MS, function()
    if not self.sending and self.count > 0 and self.pause_until == 0 then send_in_task(self) end
    return not self.sending or C.cc_now() >= due
  end)
  if self.count > 0 then dropped:add(self.count, 'ended') end
end

--- Runs the helper in its process.
---@param link ccrelay.HelperLink
function M.run(link)
  local self = M.new(link.settings, function(level, text) link.logger:say(level, text) end)
  local told
  local function tell()
    if told == self.fault then return end
    told = self.fault
    local url = address.url(self.settings.endpoint)
    link:tell { host = url and url.host, fault = self.fault or nil }
  end
  link:ready()
  tell()
  link:loop(TICK_MS, function()
    self:follow(link.settings)
    self:read()
    if self:is_due() then send_in_task(self) end
    tell()
  end)
  finish(self, link)
end

return M
