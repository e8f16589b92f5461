-- SPDX-License-Identifier: Apache-2.0
-- What a client with a budget is told, by the gateway protocol of Claude Code.
local fake = require 'support.fake_c'
local periods = require 'ccrelay.limits.periods'
local stage = require 'support.stage'

local QUOTA = 'anthropic-ratelimit-'
local UNIFIED = QUOTA .. 'unified-'
local ONE = { input = 1000000, output = 0 } -- costs 1

before_each(function() fake.reset() end)

local function shop(fields, more)
  local client = { name = (stage.fresh 'c'):gsub(' ', ''), key = 'client-key', budget_per_day = fields.budget_per_day }
  local options = {
    routing = { strategy = 'budget', prices = { ['*'] = { input = 1, output = 1 } } },
    server = { auth = { clients = { client }, allow_subscription = true } },
    providers = { { name = 'a', type = 'anthropic', transparent = true, keys = { { key = 'own-key' } } } },
  }
  for name, value in pairs(more or {}) do options[name] = value end
  return stage.new(options)
end

local function ask(self, headers)
  return self:request { headers = headers or { ['x-api-key'] = 'client-key' } }
end

-- The headers of an answer that begin so, without that beginning.
local function headers_of(answer, prefix)
  local found = {}
  for name, value in pairs(answer.headers) do
    if name:sub(1, #prefix) == prefix then found[name:sub(#prefix + 1)] = value end
  end
  return found
end

local function midnight()
  return ('%d'):format((math.floor(stage.C.cc_time() / 86400000) + 1) * 86400)
end

-- What the client is told with the answer to its second request, after it has spent so much.
local function told_after(spent)
  local self = shop { budget_per_day = 100 }
  self:reply('a', { usage = { input = spent * 1000000, output = 0 } }, { usage = ONE })
  ask(self)
  local answer = ask(self)
  return headers_of(answer, UNIFIED), answer
end

local function allowed(status, utilization, threshold)
  return {
    status = status, ['overage-status'] = status, ['representative-claim'] = 'overage', reset = midnight(),
    ['overage-reset'] = midnight(), ['overage-utilization'] = utilization, ['overage-surpassed-threshold'] = threshold,
  }
end

local function assert_told(spent, ...)
  local told = told_after(spent)
  assert.same(allowed(...), told)
end

describe('a success within a budget', function()
  it('tells how much is used', function()
    assert_told(0, 'allowed', '0.00')
    assert_told(74, 'allowed', '0.74')
  end)

  it('warns from 75 and from 95 hundredths on', function()
    assert_told(82, 'allowed_warning', '0.82', '0.75')
    assert_told(95, 'allowed_warning', '0.95', '0.95')
  end)

  it('never tells that all is used', function()
    assert_told(99.99, 'allowed_warning', '0.99', '0.95')
  end)

  it('has nothing of the quota of the relay\'s own keys', function()
    local self = shop { budget_per_day = 100 }
    self:reply('a', { headers = { [QUOTA .. 'requests-remaining'] = '7', [UNIFIED .. 'status'] = 'rejected',
      [UNIFIED .. '5h-utilization'] = '0.5', ['anthropic-organization-id'] = 'org' } })
    local answer = ask(self)
    local quota = headers_of(answer, QUOTA)
    assert.is_nil(quota['requests-remaining'])
    assert.same(allowed('allowed', '0.00'), headers_of(answer, UNIFIED))
    assert.equal('org', answer.headers['anthropic-organization-id'])
  end)
end)

it('a count of tokens has nothing of that quota either', function()
  local self = shop { budget_per_day = 100 }
  self:reply('a', { body = '{"input_tokens":3}', headers = { [QUOTA .. 'requests-remaining'] = '7' } })
  local answer = self:request { path = '/v1/messages/count_tokens', headers = { ['x-api-key'] = 'client-key' } }
  assert.equal(3, answer.json.input_tokens)
  assert.same({}, headers_of(answer, QUOTA))
end)

describe('a failure within a budget', function()
  for what, body in pairs {
    ['in Anthropic\'s shape'] = '{"type":"error","error":{"type":"rate_limit_error","message":"m"}}',
    ['in another'] = '{"message":"m"}',
  } do
    it(what .. ' has nothing of the quota of the relay\'s own keys', function()
      local self = shop { budget_per_day = 100 }
      self:reply('a', { status = 429, body = body, headers = { [UNIFIED .. 'status'] = 'rejected',
        ['anthropic-organization-id'] = 'org' } })
      local answer = ask(self)
      assert.equal(429, answer.status)
      assert.same({}, headers_of(answer, QUOTA))
      assert.equal('org', answer.headers['anthropic-organization-id'])
    end)
  end
end)

describe('the quota of an upstream passes', function()
  local headers = { [QUOTA .. 'requests-remaining'] = '7', [UNIFIED .. 'status'] = 'allowed' }

  it('without a budget', function()
    local self = shop {}
    self:reply('a', { headers = headers })
    assert.same({ ['requests-remaining'] = '7', ['unified-status'] = 'allowed' }, headers_of(ask(self), QUOTA))
  end)

  it('to a client with a credential of its own', function()
    local self = shop({}, { routing = { strategy = 'budget', budget_per_day = 5,
      prices = { ['*'] = { input = 1, output = 1 } } } })
    self:reply('a', { headers = headers })
    local answer = ask(self, { authorization = 'Bearer sk-ant-oat01-x' })
    assert.same({ ['requests-remaining'] = '7', ['unified-status'] = 'allowed' }, headers_of(answer, QUOTA))
  end)
end)

describe('a budget that is spent', function()
  it('is refused as a spend cap', function()
    local told, answer = told_after(100)
    assert.same({ 429, 'billing_error', 'false' },
      { answer.status, answer.json.error.type, answer.headers['x-should-retry'] })
    assert.same({
      status = 'rejected', reset = midnight(), ['overage-reset'] = midnight(), ['overage-utilization'] = '1',
      ['overage-surpassed-threshold'] = '1', ['overage-period'] = 'daily',
      ['overage-disabled-reason'] = 'org_spend_cap_reached',
    }, told)
    assert.equal(answer.headers['request-id'], answer.json.request_id)
    assert.is_true(tonumber(answer.headers['retry-after']) > 0)
  end)

  for period, adjective in pairs { week = 'weekly', month = 'monthly' } do
    it('of a ' .. period .. ' is refused until that is over', function()
      local self = shop({}, { routing = { strategy = 'budget', ['budget_per_' .. period] = 1,
        prices = { ['*'] = { input = 1, output = 1 } } } })
      self:reply('a', { usage = ONE })
      stage.advance(periods.current(period).ends - stage.C.cc_time())
      assert.equal(200, ask(self).status)
      local answer, ends = ask(self), periods.current(period).ends
      local told = headers_of(answer, UNIFIED)
      assert.same({ 429, adjective, ('%d'):format(ends / 1000) },
        { answer.status, told['overage-period'], told['overage-reset'] })
      assert.equal(math.ceil((ends - stage.C.cc_time()) / 1000), tonumber(answer.headers['retry-after']))
      assert.matches(('is over its %s budget %%(1 of 1%%); it resets on %s at 00:00 UTC, in %%d+ d %%d+ h$'):format(
        adjective, (os.date('!%Y-%m-%d', ends / 1000):gsub('%-', '%%-'))), answer.json.error.message)
      stage.advance(ends - stage.C.cc_time())
      assert.equal(200, ask(self).status)
    end)
  end

  it('of a group or a model names that', function()
    local function message_after(more)
      local client = { name = stage.fresh 'c':gsub(' ', ''), key = 'client-key', group = more.group }
      local options = { routing = { strategy = 'budget', prices = { ['*'] = { input = 1, output = 1 } } },
        server = { auth = { clients = { client }, groups = more.groups } } }
      options.routing.model_budgets = more.models
      local self = shop({}, options)
      self:reply('a', { usage = ONE })
      ask(self)
      return ask(self).json.error.message
    end
    local name = stage.fresh 'g':gsub(' ', '')
    assert.matches('^group "' .. name .. '" is over its daily budget',
      message_after { group = name, groups = { { name = name, budget_per_day = 1 } } })
    assert.matches('^model "claude%-%*" is over its daily budget',
      message_after { models = { ['claude-*'] = { budget_per_day = 1 } } })
  end)

  it('is refused by a policy of one\'s own, too', function()
    local self = shop({ budget_per_day = 1 }, { policy = [[local relay = require 'ccrelay'
      return {
        route = function(exchange)
          return relay.over_budget(exchange) or exchange:respond { body = 'mine' }
        end,
        on_done = function(exchange) relay.spend(exchange, 1) end,
      }]] })
    assert.equal('mine', ask(self).body)
    assert.equal(429, ask(self).status)
  end)

  it('is a mistake of the policy for what is no exchange', function()
    local self = shop({}, { policy = [[local relay = require 'ccrelay'
      return function() return relay.over_budget {} end]] })
    assert.equal(500, ask(self).status)
    assert.equal(1, self:count 'relay.over_budget takes an exchange')
  end)
end)

describe('/api/oauth/usage', function()
  local function usage(self, headers)
    local answer, exchange = self:request { method = 'GET', path = '/api/oauth/usage',
      headers = headers or { ['x-api-key'] = 'client-key' } }
    return answer.json, answer, exchange
  end

  local function after(spent, per_day)
    local self = shop { budget_per_day = per_day }
    self:reply('a', { usage = { input = spent * 1000000, output = 0 } })
    ask(self)
    return (usage(self))
  end

  it('tells a client its budget', function()
    local told = after(30.5, 40)
    assert.same({ is_enabled = true, monthly_limit = 4000, used_credits = 3050, utilization = 76, currency = 'USD' },
      told.extra_usage)
    assert.same({ { kind = 'spend', group = 'daily', percent = 76, severity = 'warning', is_active = true,
      resets_at = os.date('!%Y-%m-%dT00:00:00Z', tonumber(midnight())) } }, told.limits)
  end)

  for spent, severity in pairs { [0] = 'normal', [7.4] = 'normal', [7.5] = 'warning', [9.5] = 'critical' } do
    it('is ' .. severity .. ' at ' .. spent .. ' of 10', function()
      assert.equal(severity, after(spent, 10).limits[1].severity)
    end)
  end

  it('tells of no limit where there is none', function()
    local _, answer = usage(shop {})
    assert.equal('{"extra_usage":{"currency":null,"is_enabled":false,"monthly_limit":null,"used_credits":null,'
      .. '"utilization":null},"limits":[]}', answer.body)
  end)

  it('of a subscription comes from Anthropic, with the token as it came', function()
    local self = shop { budget_per_day = 5 }
    self:reply('a', { body = '{"five_hour":{}}' })
    local _, answer, exchange = usage(self, { authorization = 'Bearer sk-ant-oat01-x',
      ['anthropic-beta'] = 'oauth-2025-04-20' })
    assert.equal('{"five_hour":{}}', answer.body)
    assert.equal('/api/oauth/usage', exchange.tries[1].target)
  end)

  it('of a subscription goes nowhere but to Anthropic', function()
    local self = shop({}, { providers = { { name = 'z', type = 'zai', keys = { { key = 'own-key' } } } } })
    local told, _, exchange = usage(self, { authorization = 'Bearer sk-ant-oat01-x' })
    assert.equal(0, #exchange.tries)
    assert.equal(0, #told.limits)
  end)

  it('needs a key where others do', function()
    local _, answer = usage(shop {}, {})
    assert.equal(401, answer.status)
  end)
end)
