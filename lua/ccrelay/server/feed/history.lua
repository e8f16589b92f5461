-- SPDX-License-Identifier: Apache-2.0
-- Sums up the records of exchanges by time: requests, tokens and cost by model, client, token class and outcome. Two
-- series are kept: a fine one of the last 15 minutes and a coarse one of the last day, as far as the ring of records
-- reaches back. Nothing is read while nobody watches.
local each = require 'ccrelay.util.each'
local recent = require 'ccrelay.server.feed.recent'
local records = require 'ccrelay.log.records'

local M = {}

---@class ccrelay.HistoryRow what ended in one step of time
---@field t integer ms since 1970 at its begin
---@field model table<string, number[]> requests, tokens and cost, by name
---@field client table<string, number[]> the same
---@field outcome table<string, number> requests
---@field kind table<string, number> tokens
---@field unknown integer answers whose cost is not known

---@class ccrelay.HistorySeries
---@field step_ms integer
---@field rows table<integer, ccrelay.HistoryRow> by t / step_ms
---@field changed table<integer, true> since the last update

---@class ccrelay.History
---@field next integer number of the next record to read
---@field series table<string, ccrelay.HistorySeries>
---@field recent ccrelay.Recent
---@field names table<string, table<string, number>> values that have a place of their own, by dimension: when (ms since
--- 1970) each was seen last
---@field sizes table<string, integer>
local History = {}
History.__index = History

local STEPS = { fine = { 5000, 180 }, coarse = { 600000, 144 } } -- step in ms, number of steps
local MOST_READ = 10000 -- records at a time: about 20 ms
local MOST_NAMES = 24   -- values of a dimension with a place of their own; the others are "other"
local MOST_UNANSWERED = 12 -- of them before an answer came: clients can make up names of models
local KEPT_MS = 86400000 -- a value that is not seen for so long loses its place
local OTHER, NONE, UNNAMED = 'other', 'none', 'unnamed'
local BY_CLIENT = { CC_ECLIENT_GONE = true, CC_ECANCELLED = true }

---@return ccrelay.History
function M.new()
  local self = setmetatable({ next = 0, series = {}, recent = recent.new(), names = {}, sizes = {} }, History)
  for name, step in each(STEPS) do
    self.series[name] = { step_ms = step[1], most = step[2], rows = {}, changed = {} }
  end
  return self
end

--- Returns how an exchange ended, in the words of the label "outcome" of the metrics.
---@param record ccrelay.Record
---@return string
function M.outcome(record)
  if BY_CLIENT[record.error] then return 'cancelled' end
  local status = record.status
  if not status or status >= 500 then return 'failed' end
  if status < 400 then return record.error and 'broken' or 'ok' end
  return status == 429 and 'limited' or 'rejected'
end

function History:name(dimension, value, is_answered, now)
  local known = self.names[dimension]
  if not known then
    known = {}
    self.names[dimension], self.sizes[dimension] = known, 0
  end
  local most = is_answered and MOST_NAMES or MOST_UNANSWERED
  if not known[value] then
    if self.sizes[dimension] >= most then return OTHER end
    self.sizes[dimension] = self.sizes[dimension] + 1
  end
  known[value] = now
  return value
end

-- The row of a time; nil if that is too long ago.
local function row_at(series, at, now)
  local place = math.floor(at / series.step_ms)
  if place <= math.floor(now / series.step_ms) - series.most then return nil end
  local row = series.rows[place]
  if not row then
    row = { t = place * series.step_ms, model = {}, client = {}, outcome = {}, kind = {}, unknown = 0 }
    series.rows[place] = row
  end
  series.changed[place] = true
  return row
end

local function add(sums, name, value)
  sums[name] = (sums[name] or 0) + value
end

local function add_all(sums, name, tokens, cost)
  local sum = sums[name]
  if not sum then
    sum = { 0, 0, 0 }
    sums[name] = sum
  end
  sum[1], sum[2], sum[3] = sum[1] + 1, sum[2] + tokens, sum[3] + cost
end

local function tokens_of(record)
  local tokens = record.tokens
  if not tokens then return 0 end
  return tokens.input + tokens.output + tokens.cache_read + tokens.cache_write_5m + tokens.cache_write_1h
end

local function add_kinds(row, tokens)
  add(row.kind, 'input', tokens.input)
  add(row.kind, 'output', tokens.output)
  add(row.kind, 'cache_read', tokens.cache_read)
  add(row.kind, 'cache_write', tokens.cache_write_5m + tokens.cache_write_1h)
end

function History:add_to(series, record, now)
  local row = row_at(series, record.at + record.total_ms, now)
  if not row then return end
  local total, cost, outcome = tokens_of(record), record.cost or 0, M.outcome(record)
  add_all(row.model, self:name('model', record.model or NONE, outcome == 'ok', now), total, cost)
  add_all(row.client, self:name('client', record.client or UNNAMED, true, now), total, cost)
  add(row.outcome, outcome, 1)
  if record.tokens then add_kinds(row, record.tokens) end
  if outcome == 'ok' and record.endpoint == 'messages' and not record.cost then row.unknown = row.unknown + 1 end
end

local function forget(series, now)
  local first = math.floor(now / series.step_ms) - series.most
  for place in each(series.rows) do
    if place <= first then series.rows[place], series.changed[place] = nil, nil end
  end
end

function History:forget_names(now)
  for dimension, known in each(self.names) do
    for value, seen in each(known) do
      if now - seen > KEPT_MS then
        known[value], self.sizes[dimension] = nil, self.sizes[dimension] - 1
      end
    end
  end
end

--- Reads the records that are new since the last call.
---@param now number ms since 1970
function History:update(now)
  self:forget_names(now)
  local list
  list, self.next = records.read(self.next, MOST_READ)
  for _, record in ipairs(list) do
    self.recent:add(record, now)
    if record.endpoint then
      for _, series in each(self.series) do self:add_to(series, record, now) end
    end
  end
  for _, series in each(self.series) do forget(series, now) end
  self.recent:forget(now)
end

-- Rows by place, as a list in the order of time.
local function sorted(series, places)
  local list = {}
  for place in each(places) do list[#list + 1] = series.rows[place] end
  table.sort(list, function(a, b) return a.t < b.t end)
  return list
end

--- Returns all rows of a series.
---@param name 'fine'|'coarse'
---@return ccrelay.HistoryRow[]
function History:rows(name)
  local series = self.series[name]
  return sorted(series, series.rows)
end

--- Returns the rows of a series that have changed since the last call.
---@param name 'fine'|'coarse'
---@return ccrelay.HistoryRow[]
function History:changes(name)
  local series = self.series[name]
  local list = sorted(series, series.changed)
  series.changed = {}
  return list
end

--- Returns the time from one row of a series to the next.
---@param name 'fine'|'coarse'
---@return integer milliseconds
---@return integer count of rows at most
function M.step(name)
  return STEPS[name][1], STEPS[name][2]
end

return M
