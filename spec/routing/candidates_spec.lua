-- SPDX-License-Identifier: Apache-2.0
-- Candidates: which upstreams, in which order, and the answers when there is none.
local stage = require 'support.stage'
local selection = require 'ccrelay.routing.selection'
local upstream = require 'ccrelay.routing.candidates'

local TELL = [[
local relay = require 'ccrelay'
return function(exchange)
  local list = {}
  for index, upstream in ipairs(relay.upstreams(exchange, FILTER)) do
    list[index] = upstream.key_id .. '=' .. upstream.model
  end
  relay.log('told ' .. table.concat(list, ' '))
  return exchange:respond {}
end]]

local function provider(name, fields)
  local settings = { name = name, type = 'anthropic', keys = { { key = 'sk-' .. name } } }
  for key, value in pairs(fields or {}) do settings[key] = value end
  return settings
end

local function candidates(providers, request, options)
  options = options or {}
  options.providers, options.policy = providers, (TELL:gsub('FILTER', options.filter or 'nil'))
  local self = stage.new(options)
  for page, body in pairs(options.pages or {}) do self.state.pages['GET http://' .. page] = { { body = body } } end
  self:request(request)
  assert.equal(0, self:count 'script error', table.concat(self.lines, '\n'))
  for _, line in ipairs(self.lines) do
    local told = line:match ' told ?(.*)$'
    if told then return told end
  end
end

local function model(name) return { body = { model = name } } end

describe('candidates', function()
  it('are sorted in about linear time', function()
    local function instructions(count)
      local providers, steps = {}, 0
      for place = 1, 2 do
        local keys = {}
        for index = 1, count do keys[index] = { key = 'k' .. index, priority = place * count + index } end
        providers[place] = provider('p' .. place, { keys = keys })
      end
      local self = stage.new { providers = providers, policy = (TELL:gsub('FILTER', 'nil')) }
      jit.off()
      debug.sethook(function() steps = steps + 100 end, '', 100)
      self:request()
      debug.sethook()
      jit.on()
      assert.equal(1, self:count(' told p2/' .. count .. '=%S+ p2/' .. count - 1 .. '=.* p1/1='))
      return steps
    end
    local few, many = instructions(15), instructions(150)
    assert.is_true(many < 9 * few, ('%d instructions for 30 keys, %d for 300'):format(few, many))
  end)

  it('are kept once for each key, however often a script searches', function()
    local most, await, asked = 0, upstream.await, 0
    upstream.await = function(exchange, filter)
      local list = await(exchange, filter)
      most, asked = math.max(most, #selection.known(exchange)), asked + 1
      return list
    end
    local ask = 'for i = 1, 20 do relay.upstreams(exchange) relay.upstreams(exchange, { provider = "b" }) end'
    local self = stage.new { providers = { provider 'a', provider 'b' }, policy = "local relay = require 'ccrelay' "
      .. 'return function(exchange) ' .. ask .. ' return exchange:first(relay.upstreams(exchange)) end' }
    self:request()
    upstream.await = await
    assert.same({ 2, 41 }, { most, asked })
  end)

  it('are the providers that name no model when none has the model', function()
    assert.equal('a/1=m', candidates({ provider 'a', provider('b', { models = { 'other' } }) }, model 'm'))
  end)

  it('are all providers when none is left', function()
    local list = { provider('a', { models = { 'x' } }), provider('b', { models = { 'other' } }) }
    assert.equal('a/1=m b/1=m', candidates(list, model 'm'))
  end)

  it('are only the providers that name a foreign model', function()
    assert.equal('b/1=m', candidates({ provider 'a', provider('b', { models = { 'm' } }) }, model 'm'))
  end)

  it('are only the providers that map a foreign model, exactly or by prefix', function()
    local b = provider('b', { model_mapping = { m = 'x', ['n-*'] = 'y' } })
    assert.equal('b/1=x', candidates({ provider 'a', b }, model 'm'))
    assert.equal('b/1=y', candidates({ provider 'a', b }, model 'n-1'))
  end)

  it('are not fewer for a Claude model because one provider maps it', function()
    local b = provider('b', { type = 'zai', model_mapping = { ['claude-opus*'] = 'y' } })
    local list = { provider('a', { models = { 'claude-haiku-4-5' } }), b, provider('c', { type = 'zai' }) }
    assert.equal('a/1=claude-opus-5 b/1=y c/1=claude-opus-5', candidates(list, model 'claude-opus-5'))
    assert.equal('a/1=claude-haiku c/1=claude-haiku', candidates(list, model 'claude-haiku'))
  end)

  it('match a name without a star only as a whole, not as a prefix', function()
    assert.equal('a/1=m-1', candidates({ provider 'a', provider('b', { model_mapping = { m = 'x' } }) }, model 'm-1'))
  end)

  it('map by the exact name first, then by the longest prefix', function()
    local mapping = { ['claude*'] = 'short', ['claude-opus*'] = 'long', ['claude-opus-5'] = 'exact', ['*'] = 'any' }
    local list = { provider('a', { model_mapping = mapping }) }
    assert.equal('a/1=exact', candidates(list, model 'claude-opus-5'))
    assert.equal('a/1=long', candidates(list, model 'claude-opus-5-5'))
    assert.equal('a/1=short', candidates(list, model 'claude-haiku'))
    assert.equal('a/1=any', candidates(list, model 'gpt'))
  end)

  it('are sorted by priority, then as configured', function()
    local list = {
      provider('a', { keys = { { key = 'k1', priority = 1 }, { key = 'k2', priority = 3 } } }),
      provider('b', { keys = { { key = 'k3', priority = 2 }, { key = 'k4', priority = 3 }, { key = 'k5' } } }),
    }
    assert.equal('a/2=m b/2=m b/1=m a/1=m b/3=m', candidates(list, model 'm'))
  end)

  it('do not include disabled providers', function()
    assert.equal('b/1=m', candidates({ provider('a', { enabled = false }), provider 'b' }, model 'm'))
  end)

  it('can be narrowed to a provider or a type', function()
    local list = { provider 'a', provider 'b', provider('c', { type = 'zai' }) }
    assert.equal('b/1=m', candidates(list, model 'm', { filter = '{ provider = "b" }' }))
    assert.equal('c/1=m', candidates(list, model 'm', { filter = '{ type = "zai" }' }))
    assert.equal('', candidates(list, model 'm', { filter = '{ type = "ollama" }' }))
  end)

  it('are only those whose serves setting, if any, names the model', function()
    local list = { provider('a', { serves = { 'claude-haiku-*', 'exact' } }), provider 'b' }
    assert.equal('a/1=claude-haiku-4-5 b/1=claude-haiku-4-5', candidates(list, model 'claude-haiku-4-5'))
    assert.equal('a/1=exact b/1=exact', candidates(list, model 'exact'))
    assert.equal('b/1=exact-2', candidates(list, model 'exact-2'))
    assert.equal('b/1=claude-opus-5', candidates(list, model 'claude-opus-5'))
  end)

  it('are matched by the name that clients use, among the providers that may serve it', function()
    local list = {
      provider('a', { serves = { 'other' }, models = { 'claude-opus-5' } }),
      provider('b', { serves = { 'claude-*' }, model_mapping = { ['claude-*'] = 'GLM' } }), provider 'c',
    }
    assert.equal('b/1=GLM c/1=claude-opus-5', candidates(list, model 'claude-opus-5'))
    assert.equal('c/1=GLM', candidates(list, model 'GLM'))
  end)

  it('use only the first key without pooling', function()
    local list = { provider('a', { keys = { { key = 'k1' }, { key = 'k2' } }, pooling = { enabled = false } }) }
    assert.equal('a/1=m', candidates(list, model 'm'))
  end)
end)

describe('a model', function()
  local function answer_to(name, list, policy)
    return stage.new({ providers = list, policy = policy }):request(model(name))
  end

  it('that the serves settings of all providers exclude is refused with 400, and nothing is sent', function()
    local list = { provider('a', { serves = { 'claude-haiku-*' } }), provider('b', { serves = { 'GLM-*' } }) }
    local answer, exchange = answer_to('claude-opus-5', list)
    assert.same({ 400, 'invalid_request_error', 0 }, { answer.status, answer.json.error.type, #exchange.tries })
    assert.is_truthy(answer.json.error.message:find('"claude-opus-5" is not allowed', 1, true))
    assert.equal(200, answer_to('claude-haiku-4-5', list).status)
  end)

  it('that the serves settings of the providers a policy selects exclude is refused, too', function()
    local list = { provider('a', { serves = { 'claude-haiku-*' } }), provider 'b' }
    local policy = [[local relay = require 'ccrelay'
      return function(exchange) return exchange:first(relay.upstreams(exchange, { provider = 'a' })) end]]
    assert.equal(400, answer_to('claude-opus-5', list, policy).status)
  end)

  it('that a provider may serve, but not now, is not refused with 400', function()
    local list = { provider('a', { serves = { 'claude-haiku-*' } }), provider('b', { keys = { { key = 'k',
      rpm_limit = 1 } } }) }
    local self = stage.new { providers = list }
    assert.equal(200, self:request(model 'claude-opus-5').status)
    assert.equal(429, self:request(model 'claude-opus-5').status)
  end)

  it('that no provider has is refused with 404', function()
    local policy = [[local relay = require 'ccrelay'
      return function(exchange) return exchange:first(relay.upstreams(exchange, { type = 'zai' })) end]]
    assert.equal(404, answer_to('claude-opus-5', { provider 'a' }, policy).status)
  end)
end)

describe('an upstream', function()
  it('has fields that a policy can read but not write', function()
    local self = stage.new { providers = { provider('a', { keys = { { key = 'k', priority = 4, weight = 7 } } }) },
      policy = [[
      local relay = require 'ccrelay'
      return function(exchange)
        local u = relay.upstreams(exchange)[1]
        relay.log(('told %s %s %s %d %d %s %d %s'):format(u.provider, u.type, u.key_id, u.priority, u.weight, u.model,
          u.headroom, u.state))
        relay.log('told ' .. tostring(pcall(function() u.priority = 9 end)))
        return exchange:respond {}
      end]] }
    self:request()
    assert.equal(1, self:count 'told a anthropic a/1 4 7 claude%-sonnet%-4%-5 1 ready')
    assert.equal(1, self:count 'told false')
  end)
end)

describe('the credential', function()
  local bearer = { authorization = 'Bearer theirs' }
  local subscription = { authorization = 'Bearer sk-ant-oat01-x' }
  local both = { provider('a', { transparent = true }), provider('z', { type = 'zai', keys = { { key = 'sk-z' } } }) }
  local bare = { provider('a', { keys = {}, transparent = true }), provider('z', { type = 'zai', keys = {} }),
    provider('o', { type = 'ollama', keys = {} }) }
  local pages = { ['o.test/api/tags'] = '{"models":[{"name":"claude-m"}]}' }

  it('is the provider\'s if the client brings none', function()
    assert.equal('a/1=m z/1=m', candidates(both, model 'm'))
    assert.equal('o=claude-m', candidates(bare, model 'claude-m', { pages = pages }))
  end)

  it('is the client\'s at a transparent provider, and the provider\'s everywhere else', function()
    assert.equal('a=m z/1=m', candidates(both, { body = { model = 'm' }, headers = bearer }))
    assert.equal('a=claude-m o=claude-m', candidates(bare, { body = { model = 'claude-m' }, headers = bearer },
      { pages = pages }))
  end)

  it('of a subscription is used at a transparent provider; other providers need keys of their own', function()
    local options = { server = { auth = { allow_subscription = true } } }
    assert.equal('a=m z/1=m', candidates(both, { body = { model = 'm' }, headers = subscription }, options))
    options.pages = pages
    assert.equal('a=claude-m', candidates(bare, { body = { model = 'claude-m' }, headers = subscription }, options))
    local cloud = { provider('b', { type = 'bedrock', aws_region = 'us-east-1', aws_access_key_id = 'i',
      aws_secret_access_key = 's', keys = {} }) }
    assert.equal('b=m', candidates(cloud, { body = { model = 'm' }, headers = subscription }, options))
  end)

  it('is never the client\'s if that is a key of the relay', function()
    local options = { server = { auth = { api_key = 'relay-key' } } }
    assert.equal('a/1=m z/1=m', candidates(both, { body = { model = 'm' }, headers = { ['x-api-key'] = 'relay-key' } },
      options))
  end)

  it('of a client has the priority of the provider\'s best key', function()
    local list = { provider('a', { keys = { { key = 'k', priority = 5 } }, transparent = true }),
      provider('z', { type = 'zai' }) }
    assert.equal('a=m z/1=m', candidates(list, { body = { model = 'm' }, headers = bearer }))
  end)
end)

describe('pooling', function()
  local function order(strategy, count, fields)
    local keys = fields or { { key = 'k1' }, { key = 'k2' }, { key = 'k3' } }
    local self = stage.new { providers = { provider('p' .. strategy,
      { keys = keys, pooling = { strategy = strategy } }) } }
    local list = {}
    for index = 1, count do
      local _, exchange = self:request()
      list[index] = exchange.tries[1].headers['x-api-key']
    end
    return list
  end

  it('takes the least loaded key', function()
    local keys = {}
    for index = 1, 3 do keys[index] = { key = 'k' .. index, rpm_limit = 10 } end
    assert.same({ 'k1', 'k2', 'k3', 'k1', 'k2', 'k3' }, order('least_loaded', 6, keys))
  end)

  it('uses keys in turn', function()
    local list = order('round_robin', 6)
    local counts = {}
    for index, key in ipairs(list) do
      counts[key] = (counts[key] or 0) + 1
      assert.are_not.equal(list[index - 1], key)
    end
    assert.same({ k1 = 2, k2 = 2, k3 = 2 }, counts)
  end)

  it('uses keys in turn for messages only, and among keys of one priority', function()
    local self = stage.new { providers = { { name = 'turns', type = 'anthropic', pooling = { strategy = 'round_robin' },
      keys = { { key = 'sk-1', priority = 2 }, { key = 'sk-2', priority = 2 }, { key = 'sk-3' } } } } }
    self:reply('turns', { status = 200, body = '{"input_tokens":5}' })
    local list = {}
    for index = 1, 6 do
      self:request { path = '/v1/messages/count_tokens', body = { x = tostring(index) } }
      local _, exchange = self:request()
      list[index] = exchange.tries[1].headers['x-api-key']
    end
    assert.equal(list[1] .. list[2], list[3] .. list[4])
    assert.equal(list[1] .. list[2], list[5] .. list[6])
    assert.is_true(list[1] ~= list[2] and list[1] ~= 'sk-3' and list[2] ~= 'sk-3')
  end)

  it('chooses keys at random', function()
    local seen = {}
    for _, key in ipairs(order('random', 60)) do seen[key] = true end
    assert.same({ k1 = true, k2 = true, k3 = true }, seen)
  end)

  it('chooses keys by weight', function()
    local counts = { k1 = 0, k2 = 0 }
    for _, key in ipairs(order('weighted', 200, { { key = 'k1', weight = 9 }, { key = 'k2', weight = 1 } })) do
      counts[key] = counts[key] + 1
    end
    assert.is_true(counts.k1 > 140 and counts.k2 > 4, counts.k1 .. ' ' .. counts.k2)
  end)
end)

describe('limits', function()
  local function limited(name, fields)
    fields.key = 'sk-' .. name
    return { provider(name, { keys = { fields }, transparent = true }) }
  end

  it('of requests refuse the rest until the window has moved', function()
    local self = stage.new { providers = limited('rpm', { rpm_limit = 2 }) }
    assert.equal(200, self:request().status)
    assert.equal(200, self:request().status)
    local answer, exchange = self:request()
    assert.equal(429, answer.status)
    assert.equal('rate_limit_error', answer.json.error.type)
    assert.equal('60', answer.headers['retry-after'])
    assert.equal(0, #exchange.tries)
    stage.advance(61000)
    assert.equal(200, self:request().status)
  end)

  it('let the next key serve', function()
    local self = stage.new { providers = { provider('two', { keys = {
      { key = 'k1', rpm_limit = 1, priority = 2 }, { key = 'k2', priority = 1 } } }) } }
    local _, first = self:request()
    local _, second = self:request()
    assert.equal('k1', first.tries[1].headers['x-api-key'])
    assert.equal('k2', second.tries[1].headers['x-api-key'])
  end)

  it('of tokens count the estimate first, then the actual usage', function()
    local self = stage.new { providers = limited('tpm', { itpm_limit = 1000 }) }
    self:reply('tpm', { status = 200, usage = { input = 900, output = 5 } })
    assert.equal(200, self:request { body = { x = ('y'):rep(3500) } }.status)
    assert.equal(200, self:request { body = { x = ('y'):rep(200) } }.status)
    assert.equal(429, self:request { body = { x = ('y'):rep(200) } }.status)
    self = stage.new { providers = limited('tpm2', { itpm_limit = 1000 }) }
    self:reply('tpm2', { status = 200, usage = { input = 5, output = 5, cache_read = 770 } })
    for _ = 1, 5 do assert.equal(200, self:request { body = { x = ('y'):rep(3000) } }.status) end
  end)

  it('do not count requests that were never sent', function()
    local self = stage.new { providers = limited('dead', { rpm_limit = 1 }) }
    self:reply('dead', { error = 'CC_EREFUSED' })
    assert.equal(502, self:request().status)
    assert.equal(502, self:request().status)
  end)

  it('count a failure as a request without tokens', function()
    local self = stage.new { providers = limited('fail', { rpm_limit = 2, itpm_limit = 100 }) }
    self:reply('fail', { status = 400, body = '{}' })
    assert.equal(400, self:request { body = { x = ('y'):rep(300) } }.status)
    assert.equal(400, self:request { body = { x = ('y'):rep(300) } }.status)
    assert.equal(429, self:request().status)
  end)

  it('are learned from response headers', function()
    local first, second = limited('learn', { priority = 2 })[1], provider 'other'
    local self = stage.new { providers = { first, second } }
    self:reply('other', { status = 203 })
    local reset = os.date('!%Y-%m-%dT%H:%M:%SZ', math.floor(stage.C.cc_time() / 1000) + 20)
    self:reply('learn', { status = 200, headers = { ['anthropic-ratelimit-requests-limit'] = '50',
      ['anthropic-ratelimit-requests-remaining'] = '0', ['anthropic-ratelimit-requests-reset'] = reset } })
    assert.equal(200, self:request().status)
    assert.equal(203, self:request().status)
    stage.advance(21000)
    assert.equal(200, self:request().status)
  end)

  it('apply to the relay\'s own keys only', function()
    local self = stage.new { providers = limited('own', { rpm_limit = 1 }) }
    for _ = 1, 3 do assert.equal(200, self:request { headers = { authorization = 'Bearer theirs' } }.status) end
  end)

  it('that stop further attempts leave the last real answer to the client', function()
    local self = stage.new { providers = {
      provider('fails', { keys = { { key = 'k', priority = 2 } } }),
      provider('small', { keys = { { key = 'k', priority = 1, itpm_limit = 2000 } } }) } }
    self:reply('small', { status = 200, usage = { input = 1990, output = 1 } })
    self:reply('fails', { error = 'CC_EREFUSED' }, { status = 500, body = '{"message":"real"}' })
    assert.equal(200, self:request().status)
    local answer, exchange = self:request { body = { x = ('y'):rep(4000) } }
    assert.equal(1, #exchange.tries)
    assert.equal(500, answer.status)
    assert.equal('real', answer.json.error.message)
  end)
end)

describe('a request without candidates', function()
  it('is answered with 404 if no provider can serve the name', function()
    local answer = stage.new { providers = { provider('z', { type = 'zai', keys = {} }) } }:request()
    assert.equal(404, answer.status)
    assert.equal('not_found_error', answer.json.error.type)
  end)

  it('is answered with 404 if the only provider that names the model is not for this client', function()
    local self = stage.new { providers = { provider 'a', provider('z',
      { type = 'zai', keys = {}, models = { 'glm' } }) } }
    assert.equal(404, self:request(model 'glm').status)
  end)

  it('is told the earliest of several recoveries', function()
    local self = stage.new { providers = { provider 'a', provider 'b' } }
    self:reply('a', { status = 429, headers = { ['retry-after'] = '20' }, body = '{}' })
    self:reply('b', { status = 429, headers = { ['retry-after'] = '12' }, body = '{}' })
    self:request()
    local answer = self:request()
    assert.equal(429, answer.status)
    assert.equal('12', answer.headers['retry-after'])
  end)

  for feature, words in pairs { pdf = 'PDF', image_url = 'images by URL', tool_forced = 'tool_choice' } do
    it('is answered with 400 if the only provider does not support ' .. feature, function()
      local self = stage.new { providers = { provider('o', { type = 'ollama' }) } }
      local answer = self:request { features = { feature } }
      assert.equal(400, answer.status)
      assert.equal('invalid_request_error', answer.json.error.type)
      assert.is_truthy(answer.json.error.message:find(words, 1, true))
      assert.is_truthy(answer.json.error.message:find '"o"')
    end)
  end

  local CHECKED = { body = { safeguards = { { type = 'dangerous_tool_use' } } } }
  local TYPES = { bedrock = { aws_region = 'us-east-1' }, zai = {}, minimax = {}, ollama = {},
    vertex = { gcp_project_id = 'p', gcp_region = 'us-east5' } }

  local function of_type(type, more)
    local settings = { type = type, keys = { { key = 'k', priority = 9 } } }
    for name, value in pairs(TYPES[type]) do settings[name] = value end
    for name, value in pairs(more or {}) do settings[name] = value end
    return provider(type, settings)
  end

  for type in pairs(TYPES) do
    it('is answered with 400 about safeguards if there is only ' .. type .. ', before anything is sent', function()
      local answer, exchange = stage.new { providers = { of_type(type) } }:request(CHECKED)
      assert.equal(400, answer.status)
      assert.equal('invalid_request_error', answer.json.error.type)
      assert.is_truthy(answer.json.error.message:find '%f[%w]safeguards%f[%W]')
      assert.equal(0, #exchange.tries)
    end)

    it('does not exist for safeguards while Anthropic serves beside ' .. type, function()
      local self = stage.new { providers = { of_type(type), provider 'a' } }
      local answer, exchange = self:request(CHECKED)
      assert.equal(200, answer.status)
      assert.equal(1, #exchange.tries)
      assert.same({}, exchange.tries[1].edits)
    end)
  end

  it('does not exist for safeguards if allowed_betas says that the cloud supports them', function()
    local self = stage.new { env = function(name) return name:find '^AWS_' and 'x' end,
      providers = { of_type('bedrock', { allowed_betas = { 'dangerous-tool-use-2026-09-03' } }) } }
    local answer, exchange = self:request { body = CHECKED.body,
      headers = { ['anthropic-beta'] = 'dangerous-tool-use-2026-09-03' } }
    assert.equal(200, answer.status)
    assert.is_nil(exchange.tries[1].edits.safeguards)
    assert.equal('["dangerous-tool-use-2026-09-03"]', exchange.tries[1].edits.anthropic_beta)
  end)

  for status, kind in pairs { [429] = 'rate_limit_error', [529] = 'overloaded_error' } do
    it('for lack of safeguards does not replace a ' .. status, function()
      local self = stage.new { providers = { of_type 'zai', provider 'a' } }
      self:reply('a', { status = status, headers = { ['retry-after'] = '20' },
        body = '{"type":"error","error":{"type":"' .. kind .. '","message":"m"}}' })
      for _ = 1, 3 do
        local answer = self:request(CHECKED)
        assert.equal(status, answer.status)
        assert.equal(kind, answer.json.error.type)
      end
    end)
  end

  it('does not exist while another provider supports the feature', function()
    local first = provider('o', { type = 'ollama', models = { 'm' }, keys = { { key = 'k', priority = 9 } } })
    assert.equal('a/1=m', candidates({ first, provider('a', { models = { 'm' } }) },
      { body = { model = 'm' }, features = { 'pdf' } }))
  end)
end)
