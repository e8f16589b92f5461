-- SPDX-License-Identifier: Apache-2.0
-- What tests of policies get: whatever a test says happens, and nothing else.
local testing = require 'ccrelay.testing'
local file = require 'ccrelay.config.file'
local helper = require 'support.config_helper'

local folder

setup(function() folder = helper.folder() end)
teardown(function() helper.remove(folder) end)

-- A stage for a policy that is written down here.
local function playing(text, options)
  options = options or {}
  options.policy = folder .. '/policy.lua'
  helper.write(options.policy, "local relay = require 'ccrelay'\n" .. text)
  return testing.stage(options)
end

local function complains(words, script)
  local ok, message = pcall(script)
  assert.is_false(ok)
  assert.is_truthy(tostring(message):find(words, 1, true), tostring(message))
end

local TWO = { { name = 'a' }, { name = 'b' } }
local FIRST = 'return function(exchange) return exchange:first(relay.upstreams(exchange)) end'

describe('a stage', function()
  it('finds the policy relative to the folder of the test', function()
    local answer = testing.stage { policy = '../../policies/failover.lua', providers = TWO }:request()
    assert.same({ 'a/1' }, answer.tried)
    assert.equal(200, answer.status)
  end)

  it('takes a strategy by name, and has one provider unless given', function()
    assert.equal(200, testing.stage():request().status)
    assert.equal(1, #testing.stage { strategy = 'shuffle' }:request().tried)
    complains('nonsense', function() testing.stage { strategy = 'nonsense' } end)
  end)

  it('takes the other sections of a configuration', function()
    local self = playing('return function(exchange) return exchange:respond { body = exchange.client .. " " '
      .. '.. relay.routing.default_provider } end', { routing = { default_provider = 'a' }, providers = TWO,
      server = { auth = { clients = { { name = 'alice', key = 'of-alice' } } } } })
    assert.equal('alice a', self:request({ headers = { ['x-api-key'] = 'of-alice' } }).body)
    assert.equal(401, self:request().status)
  end)

  it('does not change the tables of the test', function()
    local providers = { { name = 'a' } }
    testing.stage { providers = providers }
    assert.same({ { name = 'a' } }, providers)
  end)

  it('reports wrong options', function()
    complains('a stage has no "polcy"; it may have env, health, policy', function() testing.stage { polcy = 'x' } end)
    complains('"seed" of a stage is a string, expected a number', function() testing.stage { seed = 'x' } end)
    complains('none.lua: there is no such file', function() testing.stage { policy = 'none.lua' } end)
    complains('policy.lua:2: ', function() playing 'return function( end' end)
    complains('the stage has no provider "c"; it has a or b', function()
      testing.stage { providers = TWO }:reply('c', {})
    end)
    complains('"CC_EREFUSD" is not the name of an error', function()
      testing.stage { providers = TWO }:reply('a', { error = 'CC_EREFUSD' })
    end)
    complains('"cc_now" is not the name of an error', function()
      testing.stage { providers = TWO }:reply('a', { error = 'cc_now' })
    end)
    complains('a reply has no "staus"', function() testing.stage { providers = TWO }:reply('a', { staus = 1 }) end)
    complains('a request has no "model"; it may have at, body', function() testing.stage():request { model = 'm' } end)
    complains('stage:advance takes a number of milliseconds', function() testing.stage():advance '5' end)
  end)

  it('reports them at the line of the test', function()
    local ok, message = pcall(function() testing.stage { polcy = 'x' } end)
    assert.is_false(ok)
    assert.is_truthy(message:find '_spec%.lua:%d+: ', message)
  end)
end)

describe('the clock of a stage', function()
  it('moves with events, not with real time', function()
    local self = playing([[return function(exchange)
      local before = relay.now()
      exchange:sleep(3600000)
      return exchange:respond { body = tostring(relay.now() - before) }
    end]])
    local answer = self:request()
    assert.equal('3600000', answer.body)
    assert.equal(3600000, answer.ms)
  end)

  it('begins at the time that the test sets', function()
    local self = playing('return function(exchange) return exchange:respond { body = tostring(relay.time()) } end',
      { time = 86400000 })
    assert.equal('86400000', self:request().body)
    self:advance(500)
    assert.equal('86400500', self:request().body)
    self = playing('return function(exchange) return exchange:respond { body = tostring(relay.time()) } end')
    assert.equal('1795000000000', self:request().body)
  end)

  it('is the clock of os.time and os.clock in a policy', function()
    local self = playing([[return function(exchange)
      local begun = os.clock()
      exchange:sleep(2500)
      return exchange:respond { body = os.time() .. ' ' .. os.clock() - begun }
    end]], { time = 23 * 3600000 })
    assert.equal(tostring(23 * 3600 + 2) .. ' 2.5', self:request().body)
    self:advance(3600000)
    assert.equal(tostring(24 * 3600 + 5) .. ' 2.5', self:request().body)
  end)

  it('delivers requests at their times', function()
    local self = playing [[return function(exchange)
      return exchange:respond { body = tostring(relay.cell('n'):add()) }
    end]]
    local late, early = self:requests({ at = 20 }, { at = 10 })
    assert.equal('2', late.body)
    assert.equal('1', early.body)
  end)
end)

describe('upstreams of a stage', function()
  it('give the replies of the test in turn', function()
    local self = playing(FIRST, { providers = TWO })
    self:reply('a', { status = 503, after = 70 }, { body = { said = 'yes' }, headers = { ['X-Of'] = 'a' } })
    local answer = self:request()
    assert.same({ 'a/1', 'b/1' }, answer.tried)
    assert.equal(71, answer.ms)
    answer = self:request()
    assert.equal('a', answer.provider)
    assert.equal('yes', answer.json.said)
    assert.equal('a', answer.headers['x-of'])
  end)

  it('record what was sent to them', function()
    local self = playing([[return function(exchange)
      exchange:set('temperature', 0.5)
      return exchange:first(relay.upstreams(exchange))
    end]], { providers = { { name = 'a', type = 'zai', model_mapping = { ['claude-*'] = 'GLM-4.7' } } } })
    local try = self:request({ body = { model = 'claude-x' }, headers = { ['anthropic-beta'] = 'b' } }).tries[1]
    assert.same({ 'a', 'a/1', 'GLM-4.7', 'GLM-4.7', 0.5, '/v1/messages', false },
      { try.provider, try.key_id, try.model, try.json.model, try.json.temperature, try.target, try.cancelled })
    assert.equal('key-of-a', try.headers['x-api-key'])
  end)

  it('tell keys apart', function()
    local keys = { { key = 'x' }, { key = 'y', priority = 2 } }
    local self = playing(FIRST, { providers = { { name = 'a', keys = keys } } })
    assert.same({ 'a/2' }, self:request().tried)
  end)

  it('can be declared by the policy, with variables of the test', function()
    local self = playing("relay.provider { name = 'mine', type = 'anthropic', keys = { { key = '${K}' } } }\n" .. FIRST,
      { env = { K = 'value-of-K' } })
    self:reply('mine', { status = 418 })
    local answer = self:request()
    assert.equal(418, answer.status)
    assert.equal('value-of-K', answer.tries[1].headers['x-api-key'])
  end)

  it('race', function()
    local self = playing([[return function(exchange)
      return exchange:race(relay.upstreams(exchange), { after_ms = 1500 })
    end]], { providers = TWO })
    self:reply('a', { hang = true })
    local answer = self:request()
    assert.equal('b', answer.provider)
    assert.equal(1501, answer.ms)
    assert.is_true(answer.tries[1].cancelled)
  end)

  it('count against limits, which have room again after a time', function()
    local self = playing(FIRST, { providers = { { name = 'a', keys = { { key = 'x', rpm_limit = 2 } } } } })
    assert.same({ 200, 200, 429 }, { self:request().status, self:request().status, self:request().status })
    self:advance(60001)
    assert.equal(200, self:request().status)
  end)

  it('report usage and how a stream ended', function()
    local self = playing([[return {
      route = function(exchange) return exchange:first(relay.upstreams(exchange)) end,
      on_done = function(_, report) relay.log(report.input_tokens .. ' ' .. tostring(report.error)) end,
    }]])
    self:reply('one', { usage = { input = 12, output = 3 }, ending = { error = 'CC_ERESET' } })
    self:request { body = { stream = true } }
    assert.is_truthy(table.concat(self.lines, '\n'):find('12 CC_ERESET', 1, true))
  end)
end)

describe('randomness of a stage', function()
  local function draw(seed)
    return playing([[local n = relay.random(1000000)
      return function(exchange)
        return exchange:respond { body = n .. ' ' .. relay.random(1000000) }
      end]], { seed = seed }):request().body
  end

  it('depends on the seed only', function()
    assert.equal(draw(7), draw(7))
    assert.equal(draw(1), draw())
    assert.are_not.equal(draw(7), draw(8))
  end)
end)

describe('the state of a policy', function()
  local COUNT = [[local n = 0
    return function(exchange)
      n = n + 1
      local cell = relay.cell 'kept'
      cell:write(cell:text() .. 'x')
      return exchange:respond { body = n .. cell:text() }
    end]]

  it('is new with each stage, cells too', function()
    for _ = 1, 2 do
      local self = playing(COUNT)
      assert.equal('1x', self:request().body)
      assert.equal('2xx', self:request().body)
      assert.equal('xx', self:cell('kept'):text())
    end
  end)

  it('survives a reload only in cells', function()
    local self = playing(COUNT)
    self:request()
    self:use { policy = folder .. '/policy.lua' }
    assert.equal('1xx', self:request().body)
  end)
end)

describe('limits', function()
  local RATES = { ['anthropic-ratelimit-requests-limit'] = '1', ['anthropic-ratelimit-requests-remaining'] = '0',
    ['anthropic-ratelimit-requests-reset'] = '2036-11-18T13:46:40Z' }

  local PROVIDERS = { { name = 'a', keys = { { key = 'k', priority = 2 } } }, { name = 'b' } }

  local function servants()
    local self = testing.stage { providers = PROVIDERS }
    self:reply('a', { headers = RATES })
    local list = { self:request().provider, self:request().provider }
    self:advance(30 * 24 * 3600000)
    list[3] = self:request().provider
    return list
  end

  it('are new with each stage, and so is what was learned of them', function()
    for _ = 1, 3 do assert.same({ 'a', 'b', 'a' }, servants()) end
    local self = testing.stage { providers = PROVIDERS }
    for _ = 1, 5 do assert.equal('a', self:request().provider) end
  end)
end)

describe('a policy on a stage', function()
  it('is reported with its error', function()
    local self = playing "return function() error 'a mistake' end"
    assert.same({}, self:faults())
    assert.equal(500, self:request().status)
    assert.equal(1, #self:faults())
    assert.is_truthy(self:faults()[1]:find('policy.lua:2: a mistake', 1, true))
  end)

  it('sees a client disconnect', function()
    local self = playing(FIRST)
    self:reply('one', { hang = true })
    local answer = self:request { gone_after = 100 }
    assert.equal(0, answer.status)
    assert.equal(100, answer.ms)
  end)

  it('can cut the connection, and sees the features of the body', function()
    local self = playing [[return function(exchange)
      if exchange.has_signatures then return exchange:abort { reset = true } end
      return exchange:respond { status = 204 }
    end]]
    assert.is_true(self:request({ features = { 'signatures' } }).broken)
    assert.is_nil(self:request().broken)
  end)
end)

it('every policy of the package has tests, and there are no others', function()
  local names = {}
  for index, name in ipairs(file.scripts 'policies/tests') do names[index] = name:match '^(.*)_test$' end
  assert.same(file.scripts 'policies', names)
end)
