-- SPDX-License-Identifier: Apache-2.0
-- Queries of usage. spec/usage/store_spec.lua tests how the rows get into the database.
local C = require 'ccrelay.c'
local database = require 'ccrelay.usage.database'
local json = require 'ccrelay.util.json'
local query = require 'ccrelay.usage.query'
local tables = require 'ccrelay.usage.tables'

local NOW = 1764547200000 -- 2025-12-01

local folder, one

before_each(function()
  folder = os.tmpname()
  os.remove(folder)
  one = assert(database.open(folder .. '/usage.db'))
  tables.migrate(one)
end)

after_each(function()
  one:close()
  os.execute("rm -rf '" .. folder .. "'")
end)

local function put(day, client, model, requests, cost, unknown, errors)
  one:execute([[INSERT INTO usage
    VALUES (?1, ?2, 'g', 'p', 'p/1', ?3, ?3, '', '', ?4, ?7, 10, 20, 30, 40, 50, ?5, ?6)]],
    day, client, model, requests, cost, unknown or 0, errors or 0)
end

local function ask(parameters)
  local question, message = query.parse(parameters, NOW)
  return question and query.answer(one, question), message
end

local function shown(answer, ...)
  local list = {}
  for index, row in ipairs(answer.rows) do
    local parts = {}
    for _, name in ipairs { ... } do parts[#parts + 1] = tostring(row[name]) end
    list[index] = table.concat(parts, ' ')
  end
  return list
end

it('sums are by day, of 30 days, unless the question says otherwise', function()
  put('2025-11-01', 'a', 'opus', 1, 1)
  put('2025-11-02', 'a', 'opus', 2, 2)
  put('2025-12-01', 'a', 'opus', 4, 4)
  put('2025-12-01', 'b', 'haiku', 8, 8)
  local answer = ask {}
  assert.same({ '2025-11-02', '2025-12-01' }, { answer.from, answer.to })
  assert.same({ '2025-11-02 2 2', '2025-12-01 12 12' }, shown(answer, 'day', 'requests', 'cost'))
  assert.same({ 14, 14, 30, 60, 90, 120, 150, 0, 0 }, { answer.total.requests, answer.total.cost,
    answer.total.input_tokens, answer.total.output_tokens, answer.total.cache_read_tokens,
    answer.total.cache_write_5m_tokens, answer.total.cache_write_1h_tokens, answer.total.errors,
    answer.total.cost_unknown })
  assert.same({ 'a opus 7', 'b haiku 8' },
    shown(ask { by = 'client,model', from = '2025-01-01' }, 'client', 'model', 'requests'))
end)

it('filters are exact, or prefixes with a *', function()
  put('2025-12-01', 'a', 'claude-opus', 1, 0)
  put('2025-12-01', 'a', 'claude-haiku', 2, 0)
  put('2025-12-01', 'b%', 'glm', 4, 0)
  local function count(parameters) return ask(parameters).total.requests end
  assert.same({ 3, 1, 4, 0, 2, 7 }, { count { model = 'claude-*' }, count { model = 'claude-opus' },
    count { client = 'b%' }, count { client = '%' }, count { client = 'a', model = '*haiku', provider = 'p' } + 2,
    count { group = 'g', key = 'p/*' } })
end)

it('a cost of which nothing is known is null, not 0', function()
  put('2025-12-01', 'a', 'x', 3, 0, 2, 1)
  put('2025-12-01', 'b', 'x', 3, 0, 0)
  put('2025-12-01', 'c', 'x', 3, 5, 2)
  local answer = ask { by = 'client' }
  assert.same({ json.null, 0, 5 }, { answer.rows[1].cost, answer.rows[2].cost, answer.rows[3].cost })
  assert.equal(5, answer.total.cost)
  assert.equal(4, answer.total.cost_unknown)
end)

it('a question that takes too long is ended', function()
  local ok, fault = pcall(one.within, one, 20, function()
    one:rows('n', 'WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n) SELECT max(i) FROM n')
  end)
  assert.is_false(ok)
  assert.equal(C.CC_ETOTAL_TIMEOUT, fault.code)
  assert.equal(7, one:rows('n', 'SELECT 7')[1][1])
end)

it('text of a question never becomes SQL', function()
  put('2025-12-01', "x' OR 1=1 --", 'x', 3, 0)
  assert.equal(0, ask { client = "' OR 1=1 --" }.total.requests)
  assert.equal(3, ask { client = "x' OR 1=1 --" }.total.requests)
  for _, by in ipairs { 'day; DROP TABLE usage', 'cost', 'client_group' } do
    assert.matches('"by" takes day', select(2, ask { by = by }))
  end
  assert.matches('there is no parameter "name"', select(2, ask { name = 'x' }))
  assert.matches('YYYY%-MM%-DD', select(2, ask { from = 'yesterday' }))
end)
