-- SPDX-License-Identifier: Apache-2.0
local stage = require 'support.stage'
local config = require 'ccrelay.config'
local Generation = require 'ccrelay.generation'

local ROUTE = 'route = function(exchange) return exchange:respond {} end'

local function fault_of(options)
  local built, faults = stage.build(options)
  assert.is_nil(built)
  return faults
end

describe('a policy', function()
  for text, expected in pairs {
    ['return function('] = 'policy.lua:1: .*expected near', ['\n\nerror("at load")'] = 'policy.lua:3: at load',
    ['\nlocal x = nil + 1'] = 'policy.lua:2: .*arithmetic', [''] = 'policy.lua: a policy returns a function',
    ['return 5'] = 'policy.lua: a policy returns a function', ['return {}'] = 'policy.lua: the policy has no route',
    ['return { route = 5 }'] = '"route" of a policy is a number, expected a function',
    ['return { ' .. ROUTE .. ', rout = 1 }'] = 'a policy has no "rout"; it may have break_with, gate, on_done, route',
    ['return { ' .. ROUTE .. ', on_done = {} }'] = '"on_done" of a policy is a table',
    ['return { ' .. ROUTE .. ', gate = 5 }'] = '"gate" of a policy is a number',
    ['return { ' .. ROUTE .. ', gate = { byte = 5 } }'] = 'gate has no "byte"',
    ['return { ' .. ROUTE .. ', gate = { bytes = 0/0 } }'] = 'gate.bytes is a whole number',
    ['return { ' .. ROUTE .. ', gate = { ms = -1 } }'] = 'gate.ms is a whole number',
    ['return { ' .. ROUTE .. ', break_with = "smash" }'] = 'break_with is "close" or "event", found "smash"',
    ['error({})'] = 'policy.lua: an error that is a table', ['\nleak = 1'] = 'policy.lua:2: globals are read%-only',
    ['return nothing'] = 'policy.lua:1: there is no global "nothing"',
    ['return setmetatable({ ' .. ROUTE .. ' }, { __index = error })'] = 'policy.lua: a policy has a metatable',
    ['return setmetatable({ ' .. ROUTE .. ' }, { __metatable = false })'] = 'policy.lua: a policy has a metatable',
    ['return { ' .. ROUTE .. ', gate = setmetatable({}, { __index = error }) }'] = 'a policy.gate has a metatable',
    ['return { ' .. ROUTE .. ', [setmetatable({}, { __tostring = error })] = 1 }'] =
      'a policy has a key that is a table',
    ['return { ' .. ROUTE .. ', [1] = 1 }'] = 'a policy has no "1"',
    ['\nrequire"ccrelay".provider { keys = setmetatable({}, { __index = error }) }'] =
      'policy.lua:2: relay.provider.keys has a metatable',
    ['require"ccrelay".provider { name = "x", type = "zai", keys = { { key = tostring } } } return function() end'] =
      'policy.lua: providers%[0%].keys%[0%].key: a function cannot be configuration',
    ['local relay = require"ccrelay" relay.provider { name = relay.json.null } return function() end'] =
      'policy.lua: providers%[0%].name: a userdata cannot be configuration',
  } do
    it('with ' .. text:gsub('%s+', ' ') .. ' is refused by name and line', function()
      local faults = fault_of { policy = text }
      assert.is_truthy(faults:find(expected), faults)
    end)
  end

  it('that fails just when its time is over is refused like any other', function()
    local sandbox = require 'ccrelay.script.sandbox'
    local compile, leave, due = sandbox.compile, sandbox.leave, false
    finally(function() sandbox.compile, sandbox.leave = compile, leave end)
    function sandbox.compile(text, file, environment)
      due = file == 'policy.lua'
      return compile(text, file, environment)
    end
    function sandbox.leave()
      leave()
      if not due then return end
      due = false
      error('lua/ccrelay/generation/init.lua:7: the script ran for more than 50 ms', 0)
    end
    local faults = fault_of { policy = 'error("own")' }
    assert.equal('policy.lua: the script ran for more than 50 ms', faults)
  end)

  it('is found by routing.strategy, and has that name', function()
    assert.equal('round_robin', stage.build({ routing = { strategy = 'round_robin' } }).strategy)
    assert.equal('policy', stage.build({ policy = 'return function() end' }).strategy)
  end)

  it('with a long path still reports its line', function()
    local long = 'policies/' .. ('deep/'):rep(30) .. 'failover.lua'
    local generation = require 'ccrelay.generation'
    local built, faults = generation.build {
      configuration = stage.build({}).configuration, adapters = {}, policy_path = long, policy_text = '\n\nerror("x")',
    }
    assert.is_nil(built)
    assert.equal(long .. ':3: x', tostring(faults[1]))
  end)
end)

describe('an adapter', function()
  local function with(text, more)
    local options = { scripts = { ['providers/odd.lua'] = text }, policy = 'return function() end' }
    for key, value in pairs(more or {}) do options[key] = value end
    return options
  end

  for text, expected in pairs {
    ['return {'] = 'providers/odd.lua:1:', ['\nerror("x")'] = 'providers/odd.lua:2: x',
    ['return 5'] = 'providers/odd.lua: an adapter returns a table',
    ['return { suports = {} }'] = 'an adapter has no "suports"',
    ['return { prepare = {} }'] = '"prepare" of an adapter is a table',
    ['return setmetatable({}, { __index = error })'] = 'providers/odd.lua: an adapter has a metatable',
    ['return { supports = setmetatable({}, { __index = error }) }'] = 'odd.lua: an adapter.supports has a metatable',
    ['return { [print or {}] = 1 }'] = 'there is no global "print"',
    ['return { [{}] = 1 }'] = 'odd.lua: an adapter has a key that is a table',
    ['return io.open'] = 'there is no global "io"', ['return require "ffi"'] = 'can require only ccrelay',
  } do
    it('with ' .. text:gsub('%s+', ' ') .. ' is refused by name and line', function()
      local faults = fault_of(with(text))
      assert.is_truthy(faults:find(expected), faults)
    end)
  end

  it('is found by the type of the provider', function()
    local self = stage.new { scripts = { ['providers/odd.lua'] = [[
      return { defaults = { base_url = 'http://default.test/x' }, prepare = function(request, upstream)
        request:target(request.base .. '/odd/' .. request.model .. '/' .. upstream.key_id)
        request:header('x-odd', request:client_header('x-in'))
        request:header('anthropic-beta', '')
        request:set('added', { deep = true })
        request:remove('stream')
        request:method('PUT')
      end }]] }, providers = { { name = 'o', type = 'odd', keys = { { key = 'sk-o' } }, base_url = false } } }
    local _, exchange = self:request { headers = { ['x-in'] = 'in' }, body = { stream = true } }
    local attempt = exchange.tries[1]
    assert.equal('default.test', attempt.origin.host)
    assert.equal('/x/odd/claude-sonnet-4-5/o/1', attempt.target)
    assert.same({ ['x-odd'] = 'in', ['anthropic-beta'] = '', ['x-api-key'] = 'sk-o' }, attempt.headers)
    assert.same({ added = '{"deep":true}', stream = false }, attempt.edits)
    assert.equal('PUT', attempt.method)
  end)

  it('may derive its base address from the settings', function()
    local options = with('return { base_url = function(settings) return settings.name and nil, "no region" end }',
      { providers = { { name = 'o', type = 'odd', base_url = false } } })
    assert.is_truthy(fault_of(options):find 'providers.o: no region')
    options.scripts['providers/odd.lua'] = 'return { base_url = function(settings) '
      .. 'return "https://" .. settings.name .. ".example" end }'
    assert.equal('o.example', stage.build(options).providers[1].base.host)
  end)

  it('may change the verdict on an outcome', function()
    local self = stage.new { scripts = { ['providers/odd.lua'] = [[
      return { classify = function(outcome)
        if outcome.status == 424 then outcome.retryable, outcome.type = true, 'overloaded_error' end
      end }]] }, providers = { { name = 'o', type = 'odd', keys = { { key = 'k', priority = 2 } } },
      { name = 'a', type = 'anthropic', keys = { { key = 'k' } } } } }
    self:reply('o', { status = 424, body = '{"message":"model"}' })
    local _, exchange = self:request()
    assert.equal(2, #exchange.tries)
  end)

  it('that fails ends its exchange, and the reservation is refunded', function()
    local self = stage.new {
      scripts = { ['providers/odd.lua'] = 'return { prepare = function() error("adapter") end }' },
      providers = { { name = 'odd1', type = 'odd', keys = { { key = 'k', rpm_limit = 1 } } } } }
    assert.equal(500, self:request().status)
    assert.equal(500, self:request().status)
    assert.equal(2, self:count 'script error: .*adapter')
  end)

  it('may not send broken headers', function()
    local self = stage.new { scripts = { ['providers/odd.lua'] = [[
      return { prepare = function(request) request:pass() request:header('x', 'a\r\nb: c') end }]] },
      providers = { { name = 'o', type = 'odd', keys = { { key = 'k' } } } } }
    local answer, exchange = self:request()
    assert.equal(500, answer.status)
    assert.is_nil(exchange.tries[1].sent)
  end)

  it('with an unknown credential scheme is refused', function()
    local faults = fault_of(with('return { credentials = "telepathy" }',
      { providers = { { name = 'o', type = 'odd' } } }))
    assert.is_truthy(faults:find 'no credential scheme "telepathy"')
    faults = fault_of(with('return { credentials = "../key" }', { providers = { { name = 'o', type = 'odd' } } }))
    assert.is_truthy(faults:find 'no credential scheme')
  end)
end)

describe('a script that declares providers', function()
  local function declaring(words)
    return "local relay = require 'ccrelay'\n" .. words
      .. '\nreturn function(exchange) return exchange:first(relay.upstreams(exchange)) end'
  end

  it('is the whole configuration', function()
    local self = stage.new { policy = declaring
      "relay.provider { name = 'x', type = 'zai', base_url = 'http://x.test', keys = { { key = 'sk-x' } } }" }
    local _, exchange = self:request()
    assert.equal('x.test', exchange.tries[1].origin.host)
    assert.equal('sk-x', exchange.tries[1].headers['x-api-key'])
    local answer = self:request { method = 'GET', path = '/v1/providers' }
    assert.equal(1, #answer.json.data)
  end)

  it('is checked by the same schema', function()
    local faults = fault_of { policy = declaring "relay.provider { name = 'x', type = 'zai', kees = {} }" }
    assert.is_truthy(faults:find 'kees', faults)
    assert.is_truthy(faults:find 'policy.lua', faults)
  end)

  it('can do so only while it is loaded', function()
    local self = stage.new { policy = "local relay = require 'ccrelay' return function() relay.provider {} end" }
    assert.equal(500, self:request().status)
    assert.equal(1, self:count 'relay.provider is for the time a script is loaded')
  end)

  it('keeps its secrets out of the log', function()
    local self = stage.new { policy = "local relay = require 'ccrelay' relay.provider { name = 'x', type = 'zai', "
      .. "keys = { { key = 'horse-battery' } } } return function() error('horse-battery') end" }
    self:request()
    assert.is_nil(table.concat(self.lines):find 'horse')
  end)
end)

describe('a build', function()
  it('names every faulty provider', function()
    local function variables(name) return name == 'https_proxy' and 'socks5://x' or nil end
    local faults = fault_of { env = variables, providers = {
      { name = 'a', type = 'anthropic', base_url = 'https://a.test' },
      { name = 'b', type = 'anthropic', base_url = 'https://b.test' } } }
    assert.is_truthy(faults:find 'providers.a: https_proxy: only http proxies')
    assert.is_truthy(faults:find 'providers.b')
  end)

  it('does not change the current generation', function()
    local self = stage.new()
    stage.build { policy = 'error("x")' }
    stage.build { routing = { strategy = 'shuffle' } }
    assert.equal(200, self:request().status)
    assert.equal('failover', self.current.strategy)
  end)
end)

describe('relay', function()
  local function told(words, options)
    options = options or {}
    options.policy = "local relay = require 'ccrelay' return function(exchange) "
      .. "relay.log('told ' .. tostring((function() " .. words .. ' end)())) return exchange:respond {} end'
    local self = stage.new(options)
    self:request()
    for _, line in ipairs(self.lines) do
      local found = line:match ' told (.*)$'
      if found then return found end
    end
    return nil, table.concat(self.lines, '\n')
  end

  it('has shared numbers, separate from the relay\'s own', function()
    assert.equal('1 3 3 true 7 text', told [[
      local cell = relay.cell('spec one')
      return cell:add() .. ' ' .. cell:add(2) .. ' ' .. cell:get() .. ' ' .. tostring(cell:swap(3, 7)) .. ' '
        .. relay.cell('spec one'):get() .. ' ' .. (cell:write('text') or cell:text())]])
    assert.equal('0', told 'return relay.cell("count:exchanges"):get()')
  end)

  it('has the time and random numbers of the host', function()
    assert.equal('true', told 'return relay.now() < relay.time()')
    assert.equal('true', told 'local x = relay.random() return x >= 0 and x < 1')
    assert.equal('true', told [[
      for _ = 1, 200 do
        local x = relay.random(3)
        if x < 1 or x > 3 or x % 1 ~= 0 then return x end
      end
      return true]])
    assert.is_nil(told 'return relay.random(0)')
  end)

  it('has the routing section of the configuration, read-only', function()
    assert.equal('z 5000', told('return relay.routing.model_mapping.glm .. " " .. relay.routing.failover_timeout',
      { routing = { model_mapping = { glm = 'z' } }, providers = { { name = 'z', type = 'zai',
        keys = { { key = 'k' } } } } }))
  end)

  it('has JSON', function()
    assert.equal('{"a":[],"b":null} 2', told [[
      local json = relay.json
      return json.encode({ a = json.array {}, b = json.null }) .. ' ' .. json.decode('[1,2]')[2] ]])
  end)

  it('logs with a level, without secrets and line breaks', function()
    local self = stage.new { policy = "local relay = require 'ccrelay' return function(exchange) "
      .. "relay.log('warn', 'a\\nb sk-ant-1234') relay.log('debug', 'quiet') return exchange:respond {} end" }
    self:request()
    assert.equal(1, self:count ' warn  a b %[redacted%]$')
    assert.equal(0, self:count 'quiet')
  end)

  it('needs an exchange for upstreams', function()
    assert.is_nil(told 'return relay.upstreams({})')
  end)
end)

it('a provider that needs keys and has none gives a warning', function()
  local adapters = Generation.adapters {
    ['providers/plain.lua'] = "return { defaults = { base_url = 'http://p.test' } }",
    ['providers/free.lua'] = "return { key_optional = true, defaults = { base_url = 'http://f.test' } }",
  }
  local configuration = config.load { adapters = adapters, data = { providers = {
    { name = 'a', type = 'plain' }, { name = 'b', type = 'free' },
    { name = 'c', type = 'plain', keys = { { key = 'k' } } },
  } } }
  local _, warnings = Generation.build { configuration = configuration, adapters = adapters,
    policy_text = 'return function() end' }
  assert.equal(1, #warnings)
  assert.is_truthy(tostring(warnings[1]):find('providers.a: it has no keys', 1, true))
end)

it('a file beside the credential schemes is not one', function()
  local adapters = Generation.adapters {
    ['providers/plain.lua'] = "return { credentials = 'form', defaults = { base_url = 'http://p.test' } }",
  }
  local configuration = config.load { adapters = adapters, data = { providers = { { name = 'a', type = 'plain' } } } }
  local built, faults = Generation.build { configuration = configuration, adapters = adapters,
    policy_text = 'return function() end' }
  assert.is_nil(built)
  assert.is_truthy(tostring(faults[1]):find('there is no credential scheme "form"', 1, true))
end)
