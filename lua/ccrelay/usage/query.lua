-- SPDX-License-Identifier: Apache-2.0
-- Answers questions about usage from the database: sums by day, client, model and so on, over a range of days. It
-- guarantees that only known names, no text of a question, become part of the SQL.
local each = require 'ccrelay.util.each'
local json = require 'ccrelay.util.json'
local rows = require 'ccrelay.usage.rows'

local M = {}

local DAY = 86400000
local USUAL_DAYS = 30
local MOST_ROWS = 10000

-- Columns by the names that queries use.
local COLUMNS = {
  day = 'day', client = 'client', group = 'client_group', provider = 'provider', key = 'key', model = 'model',
  sent_model = 'sent_model', tier = 'tier', speed = 'speed',
}
local NAMES = 'day, client, group, provider, key, model, sent_model, tier and speed'

-- Names of the figures in answers.
local FIGURES = {
  'requests', 'errors', 'input_tokens', 'output_tokens', 'cache_read_tokens', 'cache_write_5m_tokens',
  'cache_write_1h_tokens', 'cost', 'cost_unknown',
}
local SUMS = {}
for index, name in ipairs(rows.NUMBERS) do SUMS[index] = ('coalesce(sum(%s), 0)'):format(name) end
SUMS = table.concat(SUMS, ', ')

---@class ccrelay.UsageQuestion
---@field by string[]
---@field from string YYYY-MM-DD
---@field to string YYYY-MM-DD
---@field where table<string, string> values that columns must have; a * at the end stands for any text

local function date(moment) return os.date('!%Y-%m-%d', math.floor(moment / 1000)) end

local function is_date(text) return string.find(text, '^%d%d%d%d%-%d%d%-%d%d$') ~= nil end

local function list_of(text)
  local list, seen = {}, {}
  for name in string.gmatch(text, '[^,]+') do
    if not COLUMNS[name] then return nil, ('"by" takes %s, separated by commas'):format(NAMES) end
    if not seen[name] then list[#list + 1], seen[name] = name, true end
  end
  return list
end

--- Reads a question from the parameters of a URL.
---@param parameters table<string, string> by, from, to, and filters
---@param now number cc_time()
---@return ccrelay.UsageQuestion?
---@return string? message
function M.parse(parameters, now)
  local by, message = list_of(parameters.by or 'day')
  if not by then return nil, message end
  local question = {
    by = by, from = parameters.from or date(now - (USUAL_DAYS - 1) * DAY), to = parameters.to or date(now), where = {},
  }
  for name, value in each(parameters) do
    if name ~= 'by' and name ~= 'from' and name ~= 'to' then
      if not COLUMNS[name] or name == 'day' then
        return nil, ('there is no parameter "%s"; there are by, from, to, and %s'):format(name,
          (string.gsub(NAMES, 'day, ', '')))
      end
      question.where[name] = value
    end
  end
  if not is_date(question.from) or not is_date(question.to) then return nil, '"from" and "to" take YYYY-MM-DD' end
  return question
end

local function condition(question)
  local parts, values = { 'day >= ?1', 'day <= ?2' }, { question.from, question.to }
  for name, value in each(question.where) do
    local prefix = string.match(value, '^(.*)%*$')
    local place = '?' .. #values + 1
    local form = prefix and 'substr(%s, 1, length(%s)) = %s' or '%s = %s'
    parts[#parts + 1] = form:format(COLUMNS[name], place, place)
    values[#values + 1] = prefix or value
  end
  return table.concat(parts, ' AND '), values
end

-- A cost is known if that of any request is; without one it is null.
local function figures_of(row, first)
  local figures = {}
  for index, name in ipairs(FIGURES) do figures[name] = row[first + index] end
  if figures.cost == 0 and figures.cost_unknown > 0 and figures.cost_unknown >= figures.requests - figures.errors then
    figures.cost = json.null
  end
  return figures
end

local function grouped(database, question, where, values)
  local columns = {}
  for index, name in ipairs(question.by) do columns[index] = COLUMNS[name] end
  local names = table.concat(columns, ', ')
  local sql = ('SELECT %s, %s FROM usage WHERE %s GROUP BY %s ORDER BY %s LIMIT %d'):format(names, SUMS, where, names,
    names, MOST_ROWS + 1)
  local list = json.array {}
  for _, row in ipairs(database:rows(('t'):rep(#columns) .. ('n'):rep(#FIGURES), sql, unpack(values))) do
    local entry = figures_of(row, #columns)
    for index, name in ipairs(question.by) do entry[name] = row[index] end
    list[#list + 1] = entry
  end
  return list
end

--- Answers a question.
---@param database ccrelay.Database
---@param question ccrelay.UsageQuestion
---@return table answer for JSON
function M.answer(database, question)
  local where, values = condition(question)
  local sql = ('SELECT %s FROM usage WHERE %s'):format(SUMS, where)
  local total = figures_of(database:rows(('n'):rep(#FIGURES), sql, unpack(values))[1], 0)
  local list = #question.by > 0 and grouped(database, question, where, values) or json.array {}
  local cut = #list > MOST_ROWS
  if cut then list[#list] = nil end
  return { from = question.from, to = question.to, by = json.array(question.by), rows = list, total = total, cut = cut }
end

return M
