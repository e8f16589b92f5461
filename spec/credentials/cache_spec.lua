-- SPDX-License-Identifier: Apache-2.0
-- Credentials that are fetched: how often, when, and what a request sees of it.
local stage = require 'support.stage'
local task = require 'ccrelay.sched.task'
local cache = require 'ccrelay.credentials.cache'

local MINUTE = 60000
local ADAPTER = [[return { credentials = 'probe', prepare = function(request) request:pass() end }]]

-- The scheme of these specs: a source that the test scripts, its value sent as a bearer.
local probe, plan = {}, nil
package.loaded['ccrelay.credentials.probe'] = probe

function probe.source(provider)
  return {
    name = stage.fresh('probe ' .. provider.name), label = 'token of ' .. provider.name,
    advisory_ms = 10 * MINUTE, mandatory_ms = 2 * MINUTE, fetch = function() return plan.fetch() end,
  }
end

function probe.apply(request, upstream)
  local value, message = cache.get(request.exchange, upstream.key.provider.source)
  if not value then return nil, message end
  request:header('authorization', 'Bearer ' .. value.token)
  return true
end

function probe.recover(outcome, upstream)
  if outcome.status ~= 401 then return false end
  cache.void(upstream.key.provider.source, outcome.attempt.credential)
  return true
end

-- A source that takes 50 ms, counts, and gives tokens good for so long.
local function tokens(life)
  plan = { count = 0 }
  function plan.fetch()
    plan.count = plan.count + 1
    local number = plan.count
    task.sleep(50)
    if plan.down then return nil, plan.down end
    return { token = 't' .. number }, life and stage.C.cc_time() + life
  end
  return plan
end

local function new(options)
  options = options or {}
  options.scripts = { ['providers/probe.lua'] = ADAPTER }
  options.providers = options.providers or { { name = 'p', type = 'probe' } }
  return stage.new(options)
end

local function bearer(exchange, try)
  return exchange.tries[try or 1].headers.authorization
end

local function many(count, more)
  local list = {}
  for index = 1, count do list[index] = { at = more and more(index) or 0 } end
  return unpack(list)
end

it('50 first requests at once make one fetch', function()
  tokens(60 * MINUTE)
  local list = { new():requests(many(50)) }
  assert.equal(1, plan.count)
  for _, exchange in ipairs(list) do
    assert.equal(200, exchange.answer.status)
    assert.equal('Bearer t1', bearer(exchange))
  end
end)

it('a value is used again', function()
  tokens(60 * MINUTE)
  local self = new()
  self:request()
  local _, exchange = self:request()
  assert.equal('Bearer t1', bearer(exchange))
  assert.equal(1, plan.count)
end)

it('a value is renewed in the background before it expires, and no request waits', function()
  tokens(60 * MINUTE)
  local self = new()
  self:request()
  stage.advance(55 * MINUTE)
  local one, two, three = self:requests({}, {}, { at = 100 })
  assert.same({ 'Bearer t1', 'Bearer t1', 'Bearer t2' }, { bearer(one), bearer(two), bearer(three) })
  assert.equal(2, plan.count)
end)

it('requests wait for a new value shortly before the old one expires', function()
  tokens(60 * MINUTE)
  local self = new()
  self:request()
  stage.advance(59 * MINUTE)
  local one, two = self:requests({}, {})
  assert.same({ 'Bearer t2', 'Bearer t2' }, { bearer(one), bearer(two) })
end)

it('a value is not renewed in the first half of a short life', function()
  tokens(4 * MINUTE)
  local self = new()
  self:request()
  stage.advance(1.9 * MINUTE)
  self:request()
  assert.equal(1, plan.count)
  stage.advance(0.2 * MINUTE)
  self:request()
  assert.equal(2, plan.count)
end)

it('a value that does not expire is never renewed, but read again after a reload', function()
  tokens(nil)
  local self = new()
  self:request()
  stage.advance(400 * 24 * 60 * MINUTE)
  self:request()
  assert.equal(1, plan.count)
  self.current.built = stage.C.cc_now()
  self.current:succeed {}
  self:request()
  assert.equal(2, plan.count)
end)

it('after a reload one worker reads it again', function()
  tokens(nil)
  local self = new()
  self:request()
  self.current.built = stage.C.cc_now()
  for _ = 1, 3 do
    self.current:succeed {}
    self:request()
  end
  assert.equal(2, plan.count)
end)

it('an outage of the source fails no request while credentials are valid, and is logged once', function()
  tokens(60 * MINUTE)
  local self = new()
  self:request()
  plan.down = 'the source is away'
  for minute = 51, 59 do
    stage.advance((minute == 51 and 51 or 1) * MINUTE)
    local answer, exchange = self:request()
    assert.equal(200, answer.status)
    assert.equal('Bearer t1', bearer(exchange))
  end
  assert.equal(1, self:count ' warn .*credentials cannot be fetched')
  plan.down = nil
  stage.advance(1.1 * MINUTE)
  local _, exchange = self:request()
  assert.equal('Bearer t' .. plan.count, bearer(exchange))
  assert.equal(1, self:count ' info .*credentials are fetched again')
end)

it('requests do not wait for a source that is down', function()
  tokens(60 * MINUTE)
  local self = new()
  self:request()
  plan.down = 'the source is away'
  stage.advance(58.5 * MINUTE)
  self:requests(many(20, function(index) return index * 10 end))
  assert.is_true(plan.count <= 3, plan.count)
end)

it('without a value the client gets the message of the source, which is not asked again for a while', function()
  tokens(60 * MINUTE)
  plan.down = 'log in with: example login'
  local self = new()
  local answer = self:request()
  assert.equal(502, answer.status)
  assert.equal('provider "p": log in with: example login', answer.json.error.message)
  self:requests(many(20))
  assert.equal(1, plan.count)
  stage.advance(2000)
  self:request()
  assert.equal(2, plan.count)
  assert.equal(1, self:count ' warn .*credentials cannot be fetched')
end)

describe('a client is told not to retry', function()
  local function down(final, providers)
    tokens(60 * MINUTE)
    plan.down = { message = 'the login was revoked', final = final }
    local self = new { providers = providers }
    self:reply('q', { status = 529, body = '{}' })
    return self
  end
  local BOTH = { { name = 'q', type = 'anthropic', keys = { { key = 'k' } } }, { name = 'p', type = 'probe' } }

  it('if only a person can help', function()
    local self = down(true)
    for _ = 1, 2 do
      local answer = self:request()
      assert.equal(502, answer.status)
      assert.equal('false', answer.headers['x-should-retry'])
    end
    stage.advance(31000)
    plan.down = nil
    assert.equal(200, self:request().status)
  end)

  it('but not if the failure may pass', function()
    assert.is_nil(down(nil):request().headers['x-should-retry'])
  end)

  it('but not if another upstream may do better soon', function()
    local self = down(true, BOTH)
    for _ = 1, 2 do
      local answer = self:request()
      assert.equal(529, answer.status)
      assert.is_nil(answer.headers['x-should-retry'])
    end
  end)
end)

it('no log line contains a secret', function()
  tokens(60 * MINUTE)
  plan.down = 'refused: token=CANARY7f3a9d-secret'
  local self = new()
  local answer = self:request()
  assert.is_nil(table.concat(self.lines, '\n'):find 'CANARY')
  assert.is_nil(answer.body:find 'CANARY')
end)

it('an error in the source does not end the relay', function()
  tokens(60 * MINUTE)
  plan.fetch = function() error 'a mistake' end
  local self = new()
  local answer = self:request()
  assert.equal(502, answer.status)
  assert.is_nil(answer.body:find('traceback', 1, true))
  assert.is_nil(answer.body:find('_spec.lua', 1, true))
  assert.equal(1, self:count ' error .*a mistake')
  assert.equal(502, self:request().status)
end)

it('a value without a JSON form is an error and does not end the relay', function()
  tokens(60 * MINUTE)
  plan.fetch = function()
    task.sleep(5)
    return { token = print }, stage.C.cc_time() + MINUTE
  end
  local self = new()
  for _ = 1, 2 do assert.equal(502, self:request().status) end
  assert.equal(1, self:count ' error .*has no JSON form')
end)

it('a value that is too large is an error', function()
  tokens(60 * MINUTE)
  plan.fetch = function() return { token = ('x'):rep(20000) }, stage.C.cc_time() + MINUTE end
  local answer = new():request()
  assert.equal(502, answer.status)
  assert.is_truthy(answer.json.error.message:find 'larger than')
end)

it('another provider serves meanwhile, and after failover_timeout', function()
  tokens(60 * MINUTE)
  local providers = { { name = 'p', type = 'probe' }, { name = 'q', type = 'anthropic', keys = { { key = 'k' } } } }
  plan.down = 'away'
  local _, exchange = new { providers = providers }:request()
  assert.equal('q.test', exchange.answer.origin)
  tokens(60 * MINUTE)
  local fetch = plan.fetch
  plan.fetch = function()
    task.sleep(7000)
    return fetch()
  end
  local self = new { providers = providers, routing = { failover_timeout = 2000 } }
  local slow, quick = self:requests({}, { at = 9000 })
  assert.equal('q.test', slow.answer.origin)
  assert.equal('p.test', quick.answer.origin)
end)

it('the last upstream has all the time, although those before it had no credentials', function()
  tokens(60 * MINUTE)
  plan.down = 'away'
  local self = new { providers = {
    { name = 'p', type = 'probe' }, { name = 'q', type = 'anthropic', keys = { { key = 'k' } } },
  } }
  self:reply('q', { after = 20000 })
  local answer = self:request { body = { stream = true } }
  assert.equal(200, answer.status)
end)

describe('a value that the service refuses', function()
  it('is fetched again, and the same upstream is tried once more', function()
    tokens(60 * MINUTE)
    local self = new()
    self:reply('p', { status = 401, body = '{}' }, {})
    local answer, exchange = self:request()
    assert.equal(200, answer.status)
    assert.same({ 'Bearer t1', 'Bearer t2' }, { bearer(exchange, 1), bearer(exchange, 2) })
    assert.equal(0, self:count 'key suspended')
  end)

  it('twice is the answer', function()
    tokens(60 * MINUTE)
    local self = new()
    self:reply('p', { status = 401, body = '{"message":"no"}' })
    local answer, exchange = self:request()
    assert.equal(401, answer.status)
    assert.equal(2, #exchange.tries)
  end)

  it('is not fetched again if another request has replaced it', function()
    tokens(60 * MINUTE)
    local self = new()
    local replies = 0
    self:reply('p', function(attempt)
      replies = replies + 1
      return { status = attempt.headers.authorization == 'Bearer t1' and 401 or 200, body = '{}', after = replies * 40 }
    end)
    for _, exchange in ipairs { self:requests(many(5)) } do assert.equal(200, exchange.answer.status) end
    assert.equal(2, plan.count)
  end)
end)

it('nothing waits for a client that has disconnected', function()
  tokens(60 * MINUTE)
  local self = new()
  local gone, stays = self:requests({ gone_after = 10 }, {})
  assert.is_nil(gone.answer)
  assert.equal(200, stays.answer.status)
end)

it('an outcome that comes while a race waits for credentials is not lost', function()
  tokens(60 * MINUTE)
  local providers = { { name = 'q', type = 'anthropic', keys = { { key = 'k' } } }, { name = 'p', type = 'probe' } }
  local self = new { providers = providers, policy = [[
    local relay = require 'ccrelay'
    return function(exchange) return exchange:race(relay.upstreams(exchange), { after_ms = 5 }) end]] }
  self:reply('q', { after = 20 })
  self:reply('p', { hang = true })
  local answer, exchange = self:request()
  assert.equal(200, answer.status)
  assert.equal('q.test', exchange.answer.origin)
end)

it('status shows how long credentials are valid, and what failed', function()
  tokens(60 * MINUTE)
  local self = new()
  local function state() return require('ccrelay.health.overview').describe(self.current)[1].credentials end
  assert.same({ valid = false, failures = 0 }, state())
  self:request()
  local now = state()
  assert.is_true(now.valid and now.valid_for_ms > 59 * MINUTE and now.valid_for_ms <= 60 * MINUTE)
  plan.down = 'away'
  stage.advance(61 * MINUTE)
  self:request()
  assert.same({ valid = false, failures = 1 }, state())
end)

describe('a race', function()
  local Q, P = { name = 'q', type = 'anthropic', keys = { { key = 'k' } } }, { name = 'p', type = 'probe' }
  local R = { name = 'r', type = 'anthropic', keys = { { key = 'k' } } }
  local POLICY = [[
    local relay = require 'ccrelay'
    return function(exchange) return exchange:race(relay.upstreams(exchange), { after_ms = %d }) end]]

  -- Whose answer came within 3 s when credentials take so long.
  local function winner(after, fetch_ms, providers, reply)
    plan = { fetch = function()
      task.sleep(fetch_ms)
      return { token = 't' }, stage.C.cc_time() + MINUTE
    end }
    local self = new { providers = providers, routing = { failover_timeout = 2000 }, policy = POLICY:format(after) }
    self:reply('q', reply)
    local exchange = self:requests { gone_after = 3000 }
    return exchange.answer and exchange.answer.origin
  end

  for _, after in ipairs { 0, 5 } do
    local told = ', after_ms = ' .. after

    it('does not wait for the credentials of its first' .. told, function()
      assert.equal('q.test', winner(after, 60000, { P, Q }, { after = 20 }))
    end)

    it('answers with its first while the second waits for credentials' .. told, function()
      assert.equal('q.test', winner(after, 60000, { Q, P }, { after = 20 }))
    end)

    it('goes on with the second when the first fails meanwhile' .. told, function()
      assert.equal('p.test', winner(after, 1000, { Q, P }, { after = 20, status = 500, body = '{}' }))
    end)

    it('goes on with the third when the first fails and the second has none' .. told, function()
      assert.equal('r.test', winner(after, 60000, { Q, P, R }, { after = 20, status = 500, body = '{}' }))
    end)
  end
end)
