-- SPDX-License-Identifier: Apache-2.0
-- What scripts reach from all they are given: no secret, nothing of C, no table of the library's to write to.
local stage = require 'support.stage'
local handle = require 'ccrelay.script.handle'

local KEYS = { 'sk-first-provider', 'sk-second-provider', 'the-key-of-a-client' }

-- ---- The library's own -------------------------------------------------------------------------

local function is_of_script(value)
  return type(value) == 'function' and debug.getfenv(value) ~= _G
end

local function each_within(value, visit)
  if type(value) == 'table' then
    for key, member in next, value do
      visit(key)
      visit(member)
    end
  elseif type(value) == 'function' then
    for index = 1, 200 do
      local name, member = debug.getupvalue(value, index)
      if not name then break end
      visit(member)
    end
  end
  if type(value) == 'table' or type(value) == 'userdata' then visit(debug.getmetatable(value)) end
end

-- Every table that the library holds, but for what it holds for scripts.
local function library(roots, scripts)
  local seen, waiting = {}, {}
  for _, value in ipairs(scripts) do seen[value] = true end
  local function visit(value)
    local kind = type(value)
    local is_plain = kind ~= 'table' and kind ~= 'function' and kind ~= 'userdata'
    if is_plain or seen[value] or is_of_script(value) then return end
    seen[value] = true
    waiting[#waiting + 1] = value
  end
  for name, module in pairs(package.loaded) do
    if name:find '^ccrelay' then visit(module) end
  end
  for _, value in ipairs(roots) do visit(value) end
  while #waiting > 0 do each_within(table.remove(waiting), visit) end
  for _, value in ipairs(scripts) do seen[value] = nil end
  return seen
end

local function add_names(names, value)
  if type(value) ~= 'table' then return end
  for key in next, value do
    if type(key) == 'string' or type(key) == 'number' then names[key] = true end
  end
  local meta = debug.getmetatable(value)
  if meta and meta ~= value then add_names(names, meta) end
  if meta and type(meta.__index) == 'table' and meta.__index ~= meta then add_names(names, meta.__index) end
end

-- ---- What a script can do ----------------------------------------------------------------------

local function is_writable(value)
  local ok = pcall(function() value['a name of the test'] = 1 end)
  if ok then rawset(value, 'a name of the test', nil) end
  return ok
end

local function fault_of(value, own, allowed)
  local kind = type(value)
  if kind == 'cdata' then return 'something of C' end
  if kind == 'string' and not allowed[value] then
    for _, key in ipairs(KEYS) do
      if value:find(key, 1, true) then return 'a secret' end
    end
  end
  if kind == 'table' and own[value] and is_writable(value) then return 'a table of the library' end
  return nil
end

-- Everything there is by a name, by pairs and by a metatable that is shown.
local function walk(given, names, own, allowed)
  local faults, seen, waiting = {}, {}, {}
  local function visit(value, path)
    local fault = fault_of(value, own, allowed)
    if fault then faults[#faults + 1] = path .. ' is ' .. fault end
    local kind = type(value)
    if kind ~= 'table' and kind ~= 'userdata' or seen[value] or #path > 200 then return end
    seen[value] = true
    waiting[#waiting + 1] = { value, path }
  end
  visit(given, 'given')
  while #waiting > 0 do
    local value, path = unpack(table.remove(waiting))
    for name in pairs(names) do
      local ok, member = pcall(function() return value[name] end)
      if ok then visit(member, path .. '.' .. name) end
    end
    if type(value) == 'table' then
      for key, member in next, value do
        visit(key, path .. ' (a key)')
        visit(member, path .. '[' .. tostring(key) .. ']')
      end
    end
    local meta = getmetatable(value)
    if type(meta) == 'table' then visit(meta, path .. ' (its metatable)') end
  end
  return faults
end

-- What a function of a script holds, and its globals.
local function held_by(script)
  local held = { globals = debug.getfenv(script) }
  for index = 1, 200 do
    local name, value = debug.getupvalue(script, index)
    if not name then break end
    held[name] = value
  end
  return held
end

local POLICY = [[
local relay = require 'ccrelay'
local kept = {}
return {
  route = function(exchange)
    kept.exchange, kept.list = exchange, relay.upstreams(exchange)
    kept.failed = exchange:try(kept.list[1])
    kept.outcome = exchange:try(kept.list[2])
    kept.cell, kept.budget, kept.array = relay.cell 'c', relay.budget(exchange), relay.json.array {}
    kept.decoded = relay.json.decode '{"a":null}'
    return kept.outcome
  end,
  on_done = function(exchange, report) kept.exchange, kept.report = exchange, report end,
}]]

local ADAPTER = [[
local fit = require 'ccrelay.fit'
local json = require 'ccrelay.json'
local relay = require 'ccrelay'
return {
  base_url = function(settings) return settings.base_url end,
  prepare = function(request, upstream) local _ = { fit, json, relay } request:pass() end,
  classify = function(outcome, settings) end,
}]]

local function new_stage()
  local function entry(name, key) return { name = name, type = 'spy', keys = { { key = key } } } end
  local self = stage.new {
    policy = POLICY, scripts = { ['providers/spy.lua'] = ADAPTER },
    server = { auth = { clients = { { name = 'alice', key = KEYS[3] } } } },
    providers = { entry('one', KEYS[1]), entry('two', KEYS[2]) },
  }
  self:reply('one', { status = 500, headers = { ['x-a'] = '1' }, body = '{"type":"error","error":{}}' })
  return self
end

-- Calls back with what scripts of each kind are given, as they are given it.
local function spy_on(self, see)
  local policy = self.current.policy
  for _, name in ipairs { 'route', 'on_done' } do
    local script = policy[name]
    policy[name] = function(...)
      local result = script(...)
      see(name, { given = { ... }, held = held_by(script) }, {})
      return result
    end
  end
  for _, provider in ipairs(self.current.providers) do
    local adapter = { base_url = provider.adapter.base_url }
    for _, name in ipairs { 'prepare', 'classify' } do
      local script = provider.adapter[name]
      adapter[name] = function(...)
        see(name, { given = { ... }, held = held_by(script) }, { [provider.keys[1].secret] = true })
        return script(...)
      end
    end
    provider.adapter = adapter
  end
end

describe('the objects that scripts get', function()
  it('lead to no secret, no C object and no writable table of the library', function()
    local self, found, scripts = new_stage(), {}, {}
    for index, provider in ipairs(self.current.providers) do scripts[index] = provider.visible end
    local own = library({ self.current, string, table, math, bit, os, getmetatable '' }, scripts)
    local names = { key = true, attempt = true, exchange = true, script_handle = true, [1] = true, [2] = true }
    local generation = self.current
    for _, value in ipairs { generation, generation.configuration, generation.providers[1],
      generation.providers[1].keys[1], generation.logger, generation.auth } do add_names(names, value) end
    spy_on(self, function(kind, value, allowed)
      for _, object in ipairs(value.given) do
        if type(object) == 'userdata' then add_names(names, debug.getfenv(object)) end
      end
      found[kind] = walk(value, names, own, allowed)
    end)
    local answer = self:request { headers = { ['x-api-key'] = KEYS[3] } }
    assert.equal(200, answer.status, table.concat(self.lines, '\n'))
    assert.same({ route = {}, on_done = {}, prepare = {}, classify = {} }, found)
  end)

  it('are searched thoroughly: a leak is found', function()
    local own = library({}, {})
    local Exchange = package.loaded['ccrelay.exchange']
    assert.equal(1, #walk({ Exchange }, {}, own, {}))
    assert.equal(1, #walk({ a = { KEYS[1] } }, {}, own, {}))
    assert.equal(1, #walk({ require('ffi').new 'int[1]' }, {}, own, {}))
  end)
end)

describe('a script', function()
  it('cannot change a class for later scripts', function()
    local self = stage.new { policy = [[
      local relay = require 'ccrelay'
      return function(exchange)
        local outcome = exchange:first(relay.upstreams(exchange))
        local meta = getmetatable(outcome)
        if type(meta) == 'table' then meta.__index = function() error 'patched' end end
        return outcome
      end]] }
    assert.equal(200, self:request().status)
    self:use {}
    assert.equal(200, self:request().status)
  end)

  local looping = 'setmetatable({}, { __index = function() error("asked", 0) end, '
    .. '__lt = function() error("asked", 0) end, '
    .. '__tostring = function() error("asked", 0) end, __add = function() error("asked", 0) end })'

  for what, words in pairs {
    ['the options of a race'] = 'exchange:race(list, ' .. looping .. ')',
    ['a time of a race'] = 'exchange:race(list, { after_ms = ' .. looping .. ' })',
    ['a list of upstreams'] = 'exchange:first(' .. looping .. ')',
    ['the options of a stream'] = 'exchange:stream(function() end, ' .. looping .. ')',
    ['headers of a stream'] = 'exchange:stream(function() end, { headers = ' .. looping .. ' })',
    ['a status of a stream'] = 'exchange:stream(function() end, { status = ' .. looping .. ' })',
    ['an answer'] = 'exchange:respond(' .. looping .. ')',
    ['headers of an answer'] = 'exchange:respond { headers = ' .. looping .. ' }',
    ['a body'] = 'exchange:respond { body = ' .. looping .. ' }',
    ['a key of a body'] = 'exchange:respond { body = { [' .. looping .. '] = 1 } }',
    ['how to abort'] = 'exchange:abort(' .. looping .. ')',
    ['raw bytes'] = 'exchange:abort { raw = ' .. looping .. ' }',
    ['a time to sleep'] = 'exchange:sleep(' .. looping .. ')',
    ['a path'] = 'exchange:field(' .. looping .. ')',
    ['a filter'] = 'relay.upstreams(exchange, ' .. looping .. ')',
    ['an upstream'] = 'exchange:try(' .. looping .. ')',
    ['retry_after'] = 'exchange:try(list[1]) given.retry_after = ' .. looping,
    ['what is written'] = 'exchange:stream(function(writer) writer:write(' .. looping .. ') end)',
    ['a pause in a stream'] = 'exchange:stream(function(writer) writer:sleep(' .. looping .. ') end)',
    ['how to abort a stream'] = 'exchange:stream(function(writer) writer:abort(' .. looping .. ') end)',
  } do
    it('is not asked by the library for ' .. what, function()
      local self = stage.new { policy = "local relay = require 'ccrelay' return function(exchange) local list = "
        .. 'relay.upstreams(exchange) local given = ' .. words .. ' return given end' }
      self:request()
      assert.equal(0, self:count 'asked', table.concat(self.lines, '\n'))
    end)
  end

  it('can set only the settable fields of an outcome', function()
    for words, told in pairs {
      ['outcome.ok = false'] = 'outcome.ok cannot be assigned', ['outcome.key = 1'] = 'cannot be assigned',
      ['outcome.headers = {}'] = 'cannot be assigned', ['outcome.verdict = "bad"'] = 'cannot be this string',
      ['outcome.retry_after = 0/0'] = 'cannot be this number', ['outcome.retry_after = "1"'] = 'cannot be this string',
      ['outcome.upstream.weight = 9'] = 'read%-only', ['outcome.headers.a = 1'] = 'read%-only',
    } do
      local self = stage.new { policy = "local relay = require 'ccrelay' return function(exchange) local outcome = "
        .. 'exchange:try(relay.upstreams(exchange)[1]) ' .. words .. ' return outcome end' }
      self:request()
      assert.equal(1, self:count('script error: policy.lua:1: .*' .. told), table.concat(self.lines, '\n'))
    end
  end)

  it('gets the same handle of an object each time', function()
    local text = [[
      local relay = require 'ccrelay'
      return function(exchange)
        local list = relay.upstreams(exchange)
        local outcome = exchange:try(list[1])
        return exchange:respond { body = tostring(outcome.upstream == list[1]) .. tostring(list[1]) }
      end]]
    assert.equal('trueupstream', stage.new({ policy = text }):request().body)
    assert.is_nil(handle.of(nil))
  end)
end)
