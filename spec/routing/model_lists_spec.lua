-- SPDX-License-Identifier: Apache-2.0
-- Providers that list their models: when they are asked, and which requests they get.
local stage = require 'support.stage'
local Generation = require 'ccrelay.generation'
local model_lists = require 'ccrelay.routing.model_lists'

local TELL = [[
local relay = require 'ccrelay'
return function(exchange)
  local list = {}
  for index, upstream in ipairs(relay.upstreams(exchange, FILTER)) do list[index] = upstream.provider end
  return exchange:respond { body = table.concat(list, ' ') }
end]]

local TAGS = 'GET http://o.test/api/tags'

local function anthropic(fields)
  local settings = { name = 'a', type = 'anthropic', keys = { { key = 'sk-a', priority = 2 } } }
  for key, value in pairs(fields or {}) do settings[key] = value end
  return settings
end

local function ollama(fields)
  local settings = { name = 'o', type = 'ollama', keys = { { key = 'sk-o', priority = 0 } } }
  for key, value in pairs(fields or {}) do settings[key] = value end
  return settings
end

local function tags(...)
  local models = {}
  for index, name in ipairs { ... } do models[index] = '{"name":"' .. name .. '","size":1}' end
  return { body = '{"models":[' .. table.concat(models, ',') .. ']}' }
end

-- A stage whose Ollama answers with these replies in turn, the last one from then on; none: it does not run.
local function set(providers, replies, filter)
  local self = stage.new { providers = providers, policy = (TELL:gsub('FILTER', filter or 'nil')) }
  self.state.pages[TAGS] = replies
  return self
end

local function asked(self)
  local count = 0
  for _, job in ipairs(self.state.asked) do count = count + (job.url and job.url:find 'tags' and 1 or 0) end
  return count
end

local function candidates(self, model)
  local answer = self:request { body = { model = model } }
  assert.equal(200, answer.status, answer.body)
  return answer.body
end

describe('a provider that lists its models', function()
  it('is a candidate for these models only', function()
    local self = set({ anthropic(), ollama() }, { tags('qwen3:8b', 'claude-copy:latest') })
    assert.equal('a', candidates(self, 'claude-opus-5'))
    assert.equal('a', candidates(self, 'unknown'))
    assert.equal('o', candidates(self, 'qwen3:8b'))
    assert.equal('a', candidates(self, 'qwen3'))
    assert.equal(1, asked(self))
  end)

  it('does not replace another provider that has the model', function()
    local self = set({ anthropic(), ollama() }, { tags 'claude-copy:latest' })
    assert.equal('a o', candidates(self, 'claude-copy'))
    assert.equal('a o', candidates(self, 'claude-copy:latest'))
    assert.equal('z o', candidates(set({ { name = 'z', type = 'zai', keys = { { key = 'k' } } }, ollama() },
      { tags 'claude-copy' }), 'claude-copy'))
  end)

  it('is a candidate from the first request on, however many come at once', function()
    local self = set({ anthropic(), ollama() }, { tags('qwen3:8b') })
    self.state.pages[TAGS][1].after = 400
    local requests = {}
    for index = 1, 5 do requests[index] = { at = index * 50, body = { model = 'qwen3:8b' } } end
    requests[6] = { body = { model = 'qwen3:8b' }, gone_after = 100 }
    local exchanges = { self:requests(unpack(requests)) }
    assert.equal(1, asked(self))
    for index = 1, 5 do assert.equal('o', exchanges[index].answer.body) end
  end)

  it('is no candidate while it does not run, and not every request asks it for the list', function()
    local self = set { anthropic(), ollama() }
    for _ = 1, 10 do assert.equal('a', candidates(self, 'qwen3:8b')) end
    assert.equal(1, asked(self))
    self.state.pages[TAGS] = { tags 'qwen3:8b' }
    stage.advance(10001)
    candidates(self, 'qwen3:8b')
    assert.equal(2, asked(self))
    assert.equal('o', candidates(self, 'qwen3:8b'))
  end)

  it('is asked again in the background, so that new models become known and removed ones unknown', function()
    local self = set({ anthropic(), ollama() }, { tags 'old', tags('old', 'new'), tags 'new' })
    self.state.pages[TAGS][2].after = 500
    assert.equal('o', candidates(self, 'old'))
    stage.advance(10001)
    assert.equal('a', candidates(self, 'new'))
    stage.advance(600)
    assert.equal('o', candidates(self, 'new'))
    assert.equal('o', candidates(self, 'old'))
    stage.advance(10001)
    candidates(self, 'old')
    assert.equal('a', candidates(self, 'old'))
    assert.equal(3, asked(self))
  end)

  for what, reply in pairs {
    ['a failure'] = { status = 500, body = '{"error":"no"}' }, ['no answer'] = { error = 'CC_ETOTAL_TIMEOUT' },
    ['no JSON'] = { body = '<html>' }, ['another shape'] = { body = '{"data":[]}' }, null = { body = 'null' },
    ['no models'] = { body = '{"models":null}' }, ['models without names'] = { body = '{"models":[{},7]}' },
    ['a redirect'] = { status = 302, headers = { location = '/' } },
  } do
    it('keeps its last list after ' .. what, function()
      local self = set({ anthropic(), ollama() }, { tags 'qwen3:8b', reply })
      assert.equal('o', candidates(self, 'qwen3:8b'))
      stage.advance(10001)
      candidates(self, 'qwen3:8b')
      assert.equal('o', candidates(self, 'qwen3:8b'))
      assert.equal(2, asked(self))
      assert.equal(0, self:count 'error')
    end)
  end

  it('is not asked when the configuration names the model', function()
    local mapping = { ['claude-*'] = 'qwen3:8b' }
    local self = set { anthropic { models = { 'claude-*' } }, ollama { model_mapping = mapping } }
    assert.equal('a o', candidates(self, 'claude-opus-5'))
    assert.equal(0, asked(self))
  end)

  it('is asked if the configuration names the model only for another provider', function()
    local self = set({ anthropic { models = { 'claude-*' } }, ollama() }, { tags 'claude-copy' })
    assert.equal('a o', candidates(self, 'claude-copy'))
    assert.equal(1, asked(self))
  end)

  it('is not asked for a model that its serves setting excludes', function()
    local self = set({ anthropic(), ollama { serves = { 'qwen3:8b' } } }, { tags 'qwen3:8b' })
    assert.equal('a', candidates(self, 'claude-opus-5'))
    assert.equal(0, asked(self))
  end)

  it('gets every name if it is the only provider, and answers itself', function()
    assert.equal('o', candidates(set { ollama() }, 'unknown'))
    assert.equal('o', candidates(set({ ollama() }, { tags 'other' }), 'unknown'))
    assert.equal('o', candidates(set({ anthropic(), ollama() }, { tags 'other' }, '{ provider = "o" }'), 'unknown'))
  end)

  it('is no candidate for a model that its serves setting excludes', function()
    local self = set({ anthropic(), ollama { serves = { 'qwen3:8b' } } }, { tags('qwen3:8b', 'qwen3:32b') })
    assert.equal('o', candidates(self, 'qwen3:8b'))
    assert.equal('a', candidates(self, 'qwen3:32b'))
  end)

  it('is asked with its first key, at a path below that of its base URL', function()
    local self = set { anthropic(), ollama { base_url = 'http://[::1]:11434/behind/' } }
    self.state.pages['GET http://::1:11434/behind/api/tags'] = { tags 'qwen3:8b' }
    assert.equal('o', candidates(self, 'qwen3:8b'))
    assert.equal('Bearer sk-o', self.state.asked[1].headers.authorization)
  end)

  it('is asked by count_tokens as well', function()
    local self = set({ anthropic(), ollama() }, { tags 'qwen3:8b' })
    local answer, exchange = self:request { path = '/v1/messages/count_tokens', body = { model = 'qwen3:8b' } }
    assert.equal('true', answer.headers['x-ccrelay-estimated'])
    assert.equal(0, #exchange.tries)
  end)

  it('has its models in /v1/models', function()
    local self = set({ anthropic { models = { 'claude-opus-5' } }, ollama() }, { tags('qwen3:8b', 'a:latest') })
    local ids = {}
    local answer = self:request { method = 'GET', path = '/v1/models' }
    for index, model in ipairs(answer.json.data) do ids[index] = model.id end
    assert.same({ 'claude-opus-5', 'a', 'a:latest', 'qwen3:8b' }, ids)
    assert.equal(200, self:request({ method = 'GET', path = '/v1/models/qwen3%3A8b' }).status)
    assert.equal(1, asked(self))
  end)

  it('keeps its list across a reload', function()
    local self = set({ anthropic(), ollama() }, { tags 'qwen3:8b' })
    assert.equal('o', candidates(self, 'qwen3:8b'))
    self:use { providers = { anthropic(), ollama() }, policy = (TELL:gsub('FILTER', 'nil')) }
    assert.equal('o', candidates(self, 'qwen3:8b'))
    assert.equal(1, asked(self))
    assert.same({ 'qwen3:8b' }, model_lists.names(self.current.providers[2]))
    assert.same({}, model_lists.names(self.current.providers[1]))
  end)
end)

describe('list_models of an adapter', function()
  local function fault(text)
    local adapters, faults = Generation.adapters { ['providers/x.lua'] = 'return { list_models = ' .. text .. ' }' }
    return adapters and 'none' or faults[1].message
  end

  it('must have a path and a function that reads the answer', function()
    assert.equal('none', fault '{ path = "/models", read = function() end }')
    for _, members in ipairs { '', 'path = "/x"', 'read = function() end', 'path = "x", read = function() end' } do
      local text = '{' .. members .. '}'
      assert.is_truthy(fault(text):find('list_models has a path', 1, true), text)
    end
    assert.is_truthy(fault('{ path = "/x", read = 1 }'):find('"read" of list_models is a number', 1, true))
    assert.is_truthy(fault('{ path = "/x", red = 1 }'):find('list_models has no "red"', 1, true))
  end)
end)
