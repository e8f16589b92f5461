-- SPDX-License-Identifier: Apache-2.0
local stage = require 'support.stage'
local respond = require 'ccrelay.exchange.respond'
local sandbox = require 'ccrelay.script.sandbox'

-- Runs words as a policy; the text it returns, or the fault.
local function run(words, setup)
  local text = (setup or '') .. '\nreturn function(exchange) local function go() ' .. words
    .. ' end return exchange:respond { body = tostring(go()) } end'
  local current, faults = stage.build { policy = text }
  if not current then return nil, faults end
  local self = stage.new { policy = text }
  local answer = self:request()
  if answer.status ~= 200 then
    for _, line in ipairs(self.lines) do
      local message = line:match 'script error: (.*) id='
      if message then return nil, message end
    end
  end
  return answer.body
end

describe('a policy has no', function()
  for _, name in ipairs {
    'io', 'os.execute', 'os.exit', 'os.remove', 'os.getenv', 'os.tmpname', 'ffi', 'debug', 'load', 'loadstring',
      'loadfile',
    'dofile', 'jit', 'getfenv', 'setfenv', 'newproxy', 'string.dump', 'collectgarbage', 'package', 'module', 'rawset',
    'coroutine', 'math.random', 'print', 'string.gfind',
  } do
    it(name, function()
      local result, message = run('return ' .. name)
      assert.is_true(result == 'nil' or (message or ''):find 'there is no global' ~= nil, tostring(result)
        .. tostring(message))
    end)
  end

  it('way to other modules', function()
    for _, name in ipairs { 'ffi', 'io', 'ccrelay.c', 'ccrelay.server.loop', 'jit', 'string', 'cjson' } do
      local _, message = run('return require "' .. name .. '"')
      assert.is_truthy(message:find 'can require only ccrelay', message)
    end
  end)

  it('bytecode', function()
    local dumped = string.dump(function() return function() end end)
    local _, faults = stage.build { policy = dumped }
    assert.equal('policy.lua:1: this is bytecode, expected Lua text', faults)
  end)
end)

describe('a shared table', function()
  it('cannot be written by a policy', function()
    for _, words in ipairs {
      'leak = 1', '_G.leak = 1', 'string.find = nil', 'table.insert = nil', 'math.floor = nil', 'os.time = nil',
      'getmetatable("").__index = {}', 'setmetatable(_G, {})', 'setmetatable(string, {})', 'string.extra = 1',
      'getmetatable(_G).__newindex = nil', 'setmetatable(exchange, {})',
    } do
      local result, message = run(words)
      assert.is_nil(result, words)
      assert.is_truthy(message, words)
    end
    assert.is_nil(rawget(_G, 'leak'))
    assert.equal(2, ('a.b'):find('.', 1, true))
  end)

  it('cannot be reached through a metatable', function()
    assert.equal('nil', run 'return getmetatable("")')
    assert.equal('false', run 'return getmetatable(_G)')
    assert.equal('false', run 'return getmetatable(exchange)')
  end)

  it('is separate for each generation', function()
    local text = "local count = 0 return function(exchange) count = count + 1 "
      .. 'return exchange:respond { body = tostring(count) } end'
    local self = stage.new { policy = text }
    self:request()
    assert.equal('2', self:request().body)
    self:use { policy = text }
    assert.equal('1', self:request().body)
  end)
end)

describe('strings of a policy', function()
  it('work as usual', function()
    assert.equal('3 a b abab X-b 1', run [[
      return ('x-y'):len() .. ' ' .. ('a,b'):match('^(%a)') .. ' ' .. string.match('a,b', ',(%a)') .. ' '
        .. ('ab'):rep(2) .. ' ' .. ('a-b'):gsub('a', string.upper):gsub('A', 'X') .. ' ' .. ('a'):find('a', 1, true)]])
  end)

  it('match patterns on 4 KiB at most, in both ways of calling', function()
    for _, words in ipairs {
      'return s:find("b")', 'return string.find(s, "b")', 'return s:match("b")', 'return s:gsub("b", "c")',
      'for x in s:gmatch("b") do end', 'return string.gmatch(s, "b")',
    } do
      local _, message = run('local s = ("a"):rep(5000) ' .. words)
      assert.is_truthy(message and message:find 'too long for a pattern', words)
    end
    assert.equal('5000', run 'local s = ("a"):rep(4999) .. "b" return (s:find("b", 1, true))')
  end)

  it('refuse a pattern that could run for minutes', function()
    local _, message = run 'return ("a"):rep(4000):find(".-.-.-.-.-b")'
    assert.is_truthy(message:find 'too costly')
    assert.equal('v', run 'return (" key: v "):match("^%s*(%w+)%s*:%s*(%w+)%s*$") and "v"')
  end)

  it('do not grow beyond a megabyte by rep', function()
    local _, message = run 'return ("x"):rep(2^30)'
    assert.is_truthy(message:find 'rep')
    _, message = run 'return #string.rep("xy", 600000)'
    assert.is_truthy(message:find 'rep')
    assert.equal('1000000', run 'return #("x"):rep(1000000)')
  end)

  it('bound gsub within gsub', function()
    local _, message = run [[
      local function again(s) return (s:gsub('.', again)) end
      return again('a')]]
    assert.is_truthy(message:find 'too deep')
    assert.equal('<a>', run 'return (("a"):gsub(".", function(c) return "<" .. c .. ">" end))')
    assert.equal('20', run [[
      local n = 0
      for _ = 1, 20 do pcall(string.gsub, 'a', '.', function() error('x') end) n = n + 1 end
      return n]])
  end)

  for what, words in pairs {
    ['gsub with a table'] = 't = setmetatable({}, { __index = function() return (("a"):gsub("a", t)) end }) '
      .. 'return (("a"):gsub("a", t))',
    ['sort by a function'] = 't = function() table.sort({ 1, 2 }, t) return false end return t()',
    ['sort of tables'] = 't = setmetatable({}, { __lt = function() table.sort { t, t } return false end }) '
      .. 'table.sort { t, t }',
    format = 't = setmetatable({}, { __tostring = function() return ("%s"):format(t) end }) return tostring(t)',
  } do
    it('and tables do not take ' .. what .. ' within itself without end', function()
      local _, message = run('local t ' .. words)
      assert.is_truthy(message:find 'too deep', message)
    end)
  end

  it('are unbounded again in the library', function()
    run 'return 1'
    run 'error("x")'
    assert.equal(6000, #(('a'):rep(6000):gsub('a', 'b')))
    stage.build { policy = 'error("x")' }
    assert.equal(6000, #(('a'):rep(6000):gsub('a', 'b')))
  end)

  it('stay bounded after a wait of the script', function()
    local self = stage.new { policy = [[
      local relay = require 'ccrelay'
      return function(exchange)
        exchange:sleep(10)
        local slept = pcall(string.find, ('a'):rep(5000), 'b')
        exchange:try(relay.upstreams(exchange)[1])
        local tried = pcall(function() return ('a'):rep(5000):find('b') end)
        return exchange:respond { body = tostring(slept) .. tostring(tried) }
      end]] }
    assert.equal('falsefalse', self:request().body)
  end)

  for what, words in pairs {
    pcall = 'pcall(exchange.try, exchange, nil) local ok = pcall(string.find, ("a"):rep(5000), "b")',
    ['the handler of xpcall'] = 'local ok xpcall(exchange.try, function() '
      .. 'ok = pcall(string.find, ("a"):rep(5000), "b") end, exchange, nil)',
  } do
    it('stay bounded after ' .. what .. ' caught an error of the library', function()
      local inside
      local self = stage.new { policy = 'return function(exchange) ' .. words
        .. ' return exchange:respond { body = tostring(ok) } end' }
      local plain = respond.plain
      respond.plain = function(...)
        inside = self.state.inside
        return plain(...)
      end
      local told = self:request().body
      respond.plain = plain
      assert.equal('false', told)
      assert.is_true(inside)
    end)
  end
end)

describe('an adapter', function()
  it('has the environment\'s variables and unbounded string functions, and nothing else', function()
    local environment = sandbox.environment({}, true)
    assert.is_function(environment.os.getenv)
    assert.equal(5000, #environment.string.gsub(('a'):rep(5000), 'a', 'b'))
    assert.is_nil(environment.string.dump)
    for _, name in ipairs { 'io', 'debug', 'load', 'jit', 'package', 'ffi' } do
      assert.is_false(pcall(function() return environment[name] end), name)
    end
    assert.is_nil(environment.os.execute)
  end)
end)

describe('scripts', function()
  it('run without the JIT, so that a deadline can stop them', function()
    local off = spy.on(jit, 'off')
    local chunk = sandbox.compile('return function() end', 'x.lua', {})
    off:revert()
    assert.spy(off).was.called_with(chunk, true)
  end)
end)

describe('a plain find in a long text', function()
  local text = ('a'):rep(5000) .. 'b.c' .. ('a'):rep(5000)

  it('finds what string.find does', function()
    for _, case in ipairs {
      { 'b.c' }, { 'b.c', 1 }, { 'b.c', 5001 }, { 'b.c', 5002 }, { 'aa', 5004 }, { 'aa', -2 }, { 'aa', -1 },
      { 'aaa', -20000 }, { 'aa', 0 }, { 'aa', 10003 }, { 'aa', 10004 }, { 'aa', 20000 }, { ('a'):rep(5001) }, { text },
      { text .. 'x' }, { 'a%' }, { 'aa', 2.7 },
    } do
      local first, last = text:find(case[1], case[2], true)
      local words = ("local text = ('a'):rep(5000) .. 'b.c' .. ('a'):rep(5000) local a, b = text:find(%s, %s, true) "
        .. "return tostring(a) .. ' ' .. tostring(b)"):format(('%q'):format(case[1]), tostring(case[2]))
      assert.equal(tostring(first) .. ' ' .. tostring(last), run(words))
    end
  end)
end)

describe('the tables of a script', function()
  it('are sorted as usual', function()
    assert.equal('1,2,3', run "local t = { 3, 1, 2 } table.sort(t) return table.concat(t, ',')")
    assert.equal('3,2,1', run("local t = { 3, 1, 2 } table.sort(t, function(a, b) return a > b end) "
      .. "return table.concat(t, ',')"))
    local _, message = run 'table.sort { 1, {} }'
    assert.is_truthy(message:find('attempt to compare', 1, true), message)
  end)

  it('take members at places there are', function()
    assert.equal('1,2,3', run "local t = { 1, 3 } table.insert(t, 2, 2) return table.concat(t, ',')")
    assert.equal('1,2', run "local t = { 1 } table.insert(t, 2) return table.concat(t, ',')")
    for _, place in ipairs { '-2147483648', '2147483648', '0', '0 / 0' } do
      local _, message = run('table.insert({}, ' .. place .. ', 1)')
      assert.is_truthy(message:find('the position for table.insert is 1 or more', 1, true), message)
    end
  end)
end)
