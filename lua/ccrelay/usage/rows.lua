-- SPDX-License-Identifier: Apache-2.0
-- Counts exchanges by day, client, group, provider, key and model in the database. It reads the shared records of
-- exchanges (log/records.lua), and guarantees that each is counted once, even if its process dies and is replaced.
local C = require 'ccrelay.c'
local each = require 'ccrelay.util.each'
local cell = require 'ccrelay.shared.cell'
local random = require 'ccrelay.util.random'
local records = require 'ccrelay.log.records'

local M = {}

local RELAY = 'usage:relay' -- a cell: a number that tells this relay from those before it
local MOST = 5000           -- records at once
local MOST_ROWS = 20000     -- a day: clients choose the names of models, so there may be any number
local MOST_DAYS = 3         -- whose rows are known: an exchange counts for the day it began, and may end on the next
local OTHER = 'other'

local TEXTS = { 'day', 'client', 'client_group', 'provider', 'key', 'model', 'sent_model', 'tier', 'speed' }
local NUMBERS = { 'requests', 'errors', 'input', 'output', 'cache_read', 'cache_write_5m', 'cache_write_1h', 'cost',
  'cost_unknown' }

local function add_sql()
  local marks, sums = {}, {}
  for index = 1, #TEXTS + #NUMBERS do marks[index] = '?' .. index end
  for index, name in ipairs(NUMBERS) do sums[index] = ('%s = %s + excluded.%s'):format(name, name, name) end
  local texts, numbers = table.concat(TEXTS, ', '), table.concat(NUMBERS, ', ')
  return ('INSERT INTO usage (%s, %s) VALUES (%s) ON CONFLICT (%s) DO UPDATE SET %s'):format(texts, numbers,
    table.concat(marks, ', '), texts, table.concat(sums, ', '))
end

local ADD = add_sql()
local NOTE = [[INSERT INTO progress (relay, next) VALUES (?1, ?2)
  ON CONFLICT (relay) DO UPDATE SET next = excluded.next]]

---@class ccrelay.UsageRows
---@field say fun(level: string, text: string)
---@field next integer number of the record to go on from
---@field days table<string, { rows: table<string, true>, count: integer }> keys of the rows of the latest days
local Rows = {}
Rows.__index = Rows

M.TEXTS, M.NUMBERS = TEXTS, NUMBERS

---@param say fun(level: string, text: string) writes a log line
---@return ccrelay.UsageRows
function M.new(say)
  return setmetatable({ say = say, next = 0, days = {} }, Rows)
end

-- A number that this relay has until it ends.
local function relay_number()
  local number = cell.number(RELAY)
  if C.cc_cell_get(number) == 0 then C.cc_cell_swap(number, 0, random.number(2 ^ 32)) end
  return C.cc_cell_get(number)
end

local function forget_oldest(days)
  local oldest, count
  for day in each(days) do
    oldest, count = (not oldest or day < oldest) and day or oldest, (count or 0) + 1
  end
  if count > MOST_DAYS then days[oldest] = nil end
end

local function day_of(self, name)
  local day = self.days[name]
  if not day then
    day = { rows = {}, count = 0 }
    self.days[name] = day
    forget_oldest(self.days)
  end
  return day
end

local function note(day, key)
  day.rows[key], day.count = true, day.count + 1
end

local function read_rows(self, database)
  local since = os.date('!%Y-%m-%d', math.floor(C.cc_time() / 1000) - 86400)
  local sql = ("SELECT %s FROM usage WHERE day >= ?1 AND model <> '%s'"):format(table.concat(TEXTS, ', '), OTHER)
  self.days = {}
  for _, texts in ipairs(database:rows(('t'):rep(#TEXTS), sql, since)) do
    note(day_of(self, texts[1]), table.concat(texts, '\0'))
  end
end

--- Reads from a database after which record to continue, and the rows of the latest days.
---@param database ccrelay.Database
function Rows:begin(database)
  local found = database:rows('n', 'SELECT next FROM progress WHERE relay = ?1', relay_number())[1]
  self.next = found and found[1] or 0
  database:execute('DELETE FROM progress WHERE relay <> ?1', relay_number())
  read_rows(self, database)
end

local NO_TOKENS = { input = 0, output = 0, cache_read = 0, cache_write_5m = 0, cache_write_1h = 0 }

local function values_of(record)
  local tokens, status = record.tokens or NO_TOKENS, record.status or 0
  local refused = status < 200 or status >= 400
  local unknown = record.provider and not refused and not record.cost
  return { 1, (refused or record.error) and 1 or 0, tokens.input, tokens.output, tokens.cache_read,
    tokens.cache_write_5m, tokens.cache_write_1h, record.cost or 0, unknown and 1 or 0 }
end

local function texts_of(record)
  return { os.date('!%Y-%m-%d', math.floor(record.at / 1000)), record.client or '', record.group or '',
    record.provider or '', record.key or '', record.model or '', record.sent_model or '', record.tier or '',
    record.fast and 'fast' or '' }
end

-- The key of the row for these texts, which are changed if there is no room for another row of the day.
local function key_of(self, texts)
  local day, key = day_of(self, texts[1]), table.concat(texts, '\0')
  if day.rows[key] then return key end
  if day.count >= MOST_ROWS then
    texts[6], texts[7] = OTHER, OTHER
    return table.concat(texts, '\0')
  end
  note(day, key)
  return key
end

local function add(self, sums, record)
  local texts, values = texts_of(record), values_of(record)
  local key = key_of(self, texts)
  local sum = sums[key]
  if not sum then
    sums[key] = { texts = texts, values = values }
    return
  end
  for index, value in ipairs(values) do sum.values[index] = sum.values[index] + value end
end

--- Reads the records that are new, and sums them up.
---@return { sums: table, next: integer, lost: integer }? batch nil if there are none
function Rows:read()
  local list, following, lost = records.read(self.next, MOST)
  if following == self.next then return nil end
  local sums = {}
  for _, record in ipairs(list) do
    if record.endpoint == 'messages' then add(self, sums, record) end
  end
  return { sums = sums, next = following, lost = lost }
end

--- Writes a batch, within a transaction.
---@param database ccrelay.Database
---@param batch table of Rows:read
function M.write(database, batch)
  for _, sum in each(batch.sums) do
    local all = {}
    for index, text in ipairs(sum.texts) do all[index] = text end
    for index, value in ipairs(sum.values) do all[#sum.texts + index] = value end
    database:execute(ADD, unpack(all))
  end
  database:execute(NOTE, relay_number(), batch.next)
end

--- Notes that a batch is in the database.
---@param batch table
function Rows:written(batch)
  self.next = batch.next
  if batch.lost > 0 then
    self.say('warn', ('usage: %d exchanges are not counted, as their records were overwritten before they were read; '
      .. 'a larger server.recent_exchanges helps'):format(batch.lost))
  end
end

--- Deletes what is older than a moment.
---@param database ccrelay.Database
---@param before number cc_time()
function M.prune(database, before)
  database:execute('DELETE FROM usage WHERE day < ?1', os.date('!%Y-%m-%d', math.floor(before / 1000)))
end

return M
