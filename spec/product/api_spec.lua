-- SPDX-License-Identifier: Apache-2.0
-- Every name that scripts can reach is annotated, except the names that are listed here as private.
local stage = require 'support.stage'
local respond = require 'ccrelay.exchange.respond'
local cell = require 'ccrelay.shared.cell'
local exchange = require 'ccrelay.exchange'
local handle = require 'ccrelay.script.handle'
local cloud = require 'ccrelay.providers.cloud'
local generation = require 'ccrelay.generation'
local init = require 'ccrelay.init'
local schema = require 'ccrelay.config.schema'
local testing = require 'ccrelay.testing'
local types = require 'ccrelay.cli.commands.types'
local candidates = require 'ccrelay.routing.candidates'

-- Left out on purpose: what the library keeps for itself though a script could reach it.
local OWN = {
  Exchange = 'begin_early cached_tokens feature_bits features free_early identify inspect mark_ended set_endpoint '
    .. 'tokens_at',
  Writer = 'exchange open',
  Cell = 'name',
  Request = 'edited rename',
  Stage = 'count current generation line put_in_force relay replies run state',
}

local annotated = {}
for _, class in ipairs(types.classes()) do
  local names = {}
  for _, name in ipairs(class.fields) do names[name] = true end
  for _, entry in ipairs(class.functions) do names[entry.name] = true end
  annotated[class.name:match '[^.]+$'] = names
end

local function union(...)
  local names = {}
  for index = 1, select('#', ...) do
    for name in pairs((select(index, ...))) do names[name] = name:sub(1, 2) ~= '__' or nil end
  end
  return names
end

local function words(text)
  local names = {}
  for name in text:gmatch '%S+' do names[name] = true end
  return names
end

local function own(class)
  return words(OWN[class] or '')
end

-- What is in one and not in the other, in order.
local function without(names, others)
  local list = {}
  for name in pairs(names) do
    if others[name] == nil then list[#list + 1] = name end
  end
  table.sort(list)
  return list
end

-- A local variable of the library that a function of it uses, or one that it calls.
local function inside(script, wanted, most)
  local called = {}
  for index = 1, 60 do
    local name, value = debug.getupvalue(script, index)
    if name == wanted then return value end
    if type(value) == 'function' then called[#called + 1] = value end
  end
  for _, other in ipairs(most == 0 and {} or called) do
    local value = inside(other, wanted, (most or 3) - 1)
    if value then return value end
  end
  return not most and error('no ' .. wanted .. ' is used there', 2) or nil
end

-- What shows a handle's members to a script.
local function reading(kind)
  return debug.getmetatable(inside(handle.define, 'kinds')[kind].template).__index
end

local function section(wanted)
  local names = {}
  for _, row in ipairs(schema.fields) do
    if row[1] == wanted then
      for _, field in ipairs(row.fields) do names[field[1]] = true end
    end
  end
  return names
end

local function of_exchange()
  local index = debug.getmetatable(exchange.new(nil, 0, nil)).__index
  return union(inside(index, 'views'), inside(index, 'methods'))
end

local function of_stage()
  local played = testing.stage()
  local Stage = getmetatable(played)
  return union(played, Stage, getmetatable(Stage).__index)
end

local relay = init.bind { routing = {}, declared = {} }
local Stage = getmetatable(testing.stage())

for class, reached in pairs {
  Relay = relay,
  Json = relay.json,
  Routing = section 'routing',
  Exchange = of_exchange(),
  Writer = union(inside(respond.stream, 'Writer'), own 'Writer'),
  Cell = union(debug.getmetatable(cell.of_policy 'any').__index, cell.of_policy 'any'),
  Policy = inside(generation.build, 'POLICY_KEYS'),
  Fit = cloud,
  Testing = testing,
  Stage = of_stage(),
  StageOptions = inside(testing.stage, 'OPTIONS'),
  TestRequest = inside(Stage.requests, 'REQUEST'),
  TestReply = inside(Stage.reply, 'REPLY'),
} do
  it('all of ccrelay.' .. class .. ' is annotated, and all that is annotated is there', function()
    local known = union(annotated[class], own(class))
    assert.same({}, without(reached, known))
    assert.same({}, without(known, reached))
  end)
end

-- What a value holds when a test looks: others of its class may hold more.
local function assert_known(class, value, ...)
  assert.same({}, without(union(value, ...), union(annotated[class], own(class))), class)
end

local TWO = { { name = 'a', type = 'anthropic', keys = { { key = 'sk-a', org = 'o' } } },
  { name = 'b', type = 'anthropic', keys = { { key = 'sk-b' } } } }

-- Names of a value's members as a policy sees them, from its log.
local function seen(self, what)
  for _, line in ipairs(self.lines) do
    local names = line:match(what .. '=<([^>]*)>')
    if names then return words(names) end
  end
  error('no ' .. what .. ' was shown:\n' .. table.concat(self.lines, '\n'))
end

local SHOWING = [[
  local relay = require 'ccrelay'
  local function show(what, value)
    local names = {}
    for name in pairs(value) do names[#names + 1] = name end
    relay.log(what .. '=<' .. table.concat(names, ' ') .. '>')
  end
  return {
    route = function(exchange)
      return exchange:first(relay.upstreams(exchange))
    end,
    on_done = function(_, report) show('report', report) end,
  }
]]

describe('what a policy holds is annotated:', function()
  it('upstreams, outcomes', function()
    local Upstream = inside(candidates.is, 'Upstream')
    local views = union(inside(Upstream.__index, 'views'), words 'model')
    assert.same({}, without(views, annotated.Upstream))
    assert.same({}, without(annotated.Upstream, views))
    local shown = union(inside(reading 'outcome', 'SHOWN'), words 'upstream headers')
    assert.same({}, without(shown, annotated.Outcome))
    assert.same({}, without(annotated.Outcome, shown))
  end)

  it('and reports', function()
    local self = stage.new { policy = SHOWING, providers = TWO }
    self:reply('a', { status = 429, headers = { ['retry-after'] = '5' }, body =
      '{"type":"error","error":{"type":"rate_limit_error","message":"wait"}}' }, { error = 'CC_ETLS', detail = 'x' })
    self:reply('b', { usage = { input = 5, output = 2 } })
    self:request()
    assert_known('Report', seen(self, 'report'))
    assert.same({ 'error', 'raced', 'tier' }, without(annotated.Report, seen(self, 'report')))
  end)

  it('answers and attempts of tests', function()
    local self = testing.stage { providers = TWO }
    self:reply('a', { body = { said = 'yes' } })
    local found = self:request()
    assert_known('TestAnswer', found)
    assert_known('TestTry', found.tries[1])
    assert.same({ 'broken' }, without(annotated.TestAnswer, found))
    assert.same({}, without(annotated.TestTry, found.tries[1]))
  end)
end)

describe('what an adapter holds is annotated:', function()
  it('its own keys', function()
    local keys = inside(generation.adapters, 'ADAPTER_KEYS')
    assert_known('Adapter', keys)
    assert.same({}, without(annotated.Adapter, keys))
  end)

  it('the request', function()
    local read = reading 'request'
    local reached = union(inside(read, 'SHOWN'), inside(read, 'shown'), words 'settings')
    assert.same({}, without(reached, union(annotated.Request, own 'Request')))
    assert.same({}, without(annotated.Request, reached))
  end)
end)
