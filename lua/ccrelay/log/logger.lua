-- SPDX-License-Identifier: Apache-2.0
-- Formats and writes log lines as text, as JSON or for a terminal. It guarantees that lines written with `say` hold no
-- secrets, and that no message or value brings control characters into a line.
local C = require 'ccrelay.c'
local json = require 'ccrelay.util.json'
local redact = require 'ccrelay.log.redact'
local memoize = require 'ccrelay.util.memoize'

---@class ccrelay.Logger
---@field level integer
---@field json boolean
---@field options table logging.debug_options
---@field colour boolean
---@field narrow boolean whether lines are shortened and folded for a terminal
---@field clean fun(text: string): string
local Logger = {}
Logger.__index = Logger

local M = {}

local LEVELS = { debug = 1, info = 2, warn = 3, error = 4 }
local NAMES = { 'debug', 'info', 'warn', 'error' }
local PADDED = { 'debug', 'info ', 'warn ', 'error' }
local COLOURS = { '\27[2m', '\27[32m', '\27[33m', '\27[31m' }
local LONGEST_LINE = 16 * 1024

--- Makes a logger for a configuration.
---@param configuration table
---@param terminal boolean? whether the lines go to a terminal
---@return ccrelay.Logger
function M.new(configuration, terminal)
  local logging = configuration.logging or {}
  local pretty = logging.pretty
  if pretty == nil or pretty == 'auto' then pretty = terminal or false end
  return setmetatable({
    level = LEVELS[logging.level or 'info'],
    json = logging.format == 'json',
    options = logging.debug_options or {},
    colour = pretty and logging.format ~= 'json',
    narrow = terminal and logging.format ~= 'json' or false,
    clean = redact.new(configuration),
  }, Logger)
end

local last_second, last_text = -1, ''
local last_moment, last_stamp = -1, ''

--- Formats a wall-clock time as RFC 3339 text in UTC.
---@param milliseconds number
---@return string
function M.stamp(milliseconds)
  local moment = math.floor(milliseconds)
  if moment == last_moment then return last_stamp end
  local second = math.floor(moment / 1000)
  if second ~= last_second then
    last_second, last_text = second, os.date('!%Y-%m-%dT%H:%M:%S', second)
  end
  last_moment, last_stamp = moment, string.format('%s.%03dZ', last_text, moment - second * 1000)
  return last_stamp
end

local function quoted(text)
  if text ~= '' and not string.find(text, '[%c%s"=\\\127-\255]') then return text end
  return json.quote(text)
end

local known_quoted = memoize.results(quoted)

local function plain(name, value)
  local kind = type(value)
  if kind == 'number' then return value end
  if kind ~= 'string' then return tostring(value) end
  if name == 'id' then return quoted(value) end
  return known_quoted(value)
end

local title = memoize.results(json.plain)

local label = memoize.results(function(name) return ' ' .. name .. '=' end)

local line = {} -- the parts of the line that is being built

local function coloured(self, level)
  return self.colour and COLOURS[level] .. PADDED[level] .. '\27[0m' or PADDED[level]
end

local function text_line(stamp, level, message, fields, count)
  line[1], line[2], line[3], line[4], line[5] = stamp, ' ', level, ' ', title(message)
  local at = 5
  for index = 1, count, 2 do
    local value = fields[index + 1]
    if value ~= nil then
      line[at + 1], line[at + 2] = label(fields[index]), plain(fields[index], value)
      at = at + 2
    end
  end
  return table.concat(line, '', 1, at)
end

-- ---- Terminals ---------------------------------------------------------------------------------

-- The fields of an exchange that are shown at a terminal. Files and JSON have all fields.
local BRIEF = {
  'status', 'model', 'client', 'key', 'tried', 'error', 'detail', 'total_ms', 'output_tokens', 'id',
}
local BRIEF_WITHOUT_MODEL = { 'status', 'method', 'path', 'error', 'total_ms', 'id' }
local COLUMNS, INDENT = 120, '    '

local function brief(fields, count)
  local values, short = {}, {}
  for index = 1, count, 2 do values[fields[index]] = fields[index + 1] end
  if values.attempts == 1 then values.tried = nil end
  for _, name in ipairs(values.model and BRIEF or BRIEF_WITHOUT_MODEL) do
    if values[name] ~= nil then short[#short + 1], short[#short + 2] = name, values[name] end
  end
  return short, #short
end

-- Where to break a text: behind the last blank that fits, else before the first character that does not fit.
local function break_of(text, most)
  local blank = string.match(string.sub(text, 1, most), '^.+() ')
  if blank and blank > most / 2 then return blank end
  local at = most
  while at > 1 and string.find(text, '^[\128-\191]', at + 1) do at = at - 1 end
  return at
end

local function fold(text)
  local rows, most = {}, COLUMNS
  while #text > most do
    local at = break_of(text, most)
    rows[#rows + 1], text = string.sub(text, 1, at), string.sub(text, at + 1)
    most = COLUMNS - #INDENT
  end
  rows[#rows + 1] = text
  return table.concat(rows, '\n' .. INDENT)
end

local function terminal_line(self, level, message, fields, count)
  if message == 'exchange' then fields, count = brief(fields, count) end
  local time = string.sub(M.stamp(C.cc_time()), 12, 19)
  local text = fold(text_line(time, PADDED[level], message, fields, count))
  return string.sub(text, 1, #time + 1) .. coloured(self, level) .. string.sub(text, #time + 2 + #PADDED[level])
end

local function json_line(level, message, fields, count)
  local parts = {
    '"time":"' .. M.stamp(C.cc_time()) .. '"', '"level":"' .. NAMES[level] .. '"', '"message":' .. json.quote(message),
  }
  for index = 1, count, 2 do
    local value = fields[index + 1]
    if value ~= nil then parts[#parts + 1] = json.quote(fields[index]) .. ':' .. json.encode(value) end
  end
  return '{' .. table.concat(parts, ',') .. '}'
end

-- A function of its own, so that it is compiled.
local function write(text) C.cc_log(text, #text) end

--- Whether lines of this level are written.
---@param level string
---@return boolean
function Logger:writes(level)
  return LEVELS[level] >= self.level
end

--- Writes a line whose fields hold no secrets.
---@param level string
---@param message string
---@param fields any[]? names and values in turn; fields with a nil value are left out
---@param count integer? number of names and values together; #fields by default
function Logger:line(level, message, fields, count)
  local number = LEVELS[level]
  if number < self.level then return end
  fields = fields or {}
  count = count or #fields
  if self.json then return write(json_line(number, message, fields, count)) end
  if self.narrow then return write(terminal_line(self, number, message, fields, count)) end
  write(text_line(M.stamp(C.cc_time()), coloured(self, number), message, fields, count))
end

--- Writes a line that may hold secrets: they are removed first.
---@param level string
---@param message string
---@param fields any[]? as for Logger:line
---@param count integer? as for Logger:line
function Logger:say(level, message, fields, count)
  if LEVELS[level] < self.level then return end
  local safe = {}
  count = count or #(fields or {})
  for index = 1, count do
    local value = fields[index]
    safe[index] = type(value) == 'string' and self.clean(string.sub(value, 1, LONGEST_LINE)) or value
  end
  self:line(level, self.clean(string.sub(message, 1, LONGEST_LINE)), safe, count)
end

-- ---- logging.debug_options ---------------------------------------------------------------------

--- Logs the beginning of a request's body, if log_request_body is set.
---@param exchange ccrelay.Exchange
function Logger:body(exchange)
  if not self.options.log_request_body then return end
  local most = self.options.max_body_log_size or 1000
  self:say('debug', 'request body', { 'id', exchange.id, 'body', string.sub(exchange:body(), 1, most) })
end

--- Logs the parts of an outcome that logging.debug_options selects.
---@param exchange ccrelay.Exchange
---@param outcome ccrelay.Outcome
---@param header_lines fun(outcome: ccrelay.Outcome): string called only if the headers are logged
function Logger:outcome(exchange, outcome, header_lines)
  local key = outcome.upstream.key_id
  if self.options.log_response_headers then
    self:say('debug', 'response headers',
      { 'id', exchange.id, 'key', key, 'status', outcome.status or 0, 'headers', header_lines(outcome) })
  end
  if self.options.log_tls_metrics then
    self:line('debug', 'connection', {
      'id', exchange.id, 'key', key, 'tls', outcome.upstream.key.provider.base.scheme == 'https',
      'reused', outcome.reused, 'connect_ms', outcome.connect_ms, 'head_ms', outcome.head_ms,
      'detail', outcome.detail or '',
    })
  end
end

return M
