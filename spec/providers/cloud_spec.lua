-- SPDX-License-Identifier: Apache-2.0
-- What is made fit for clouds, without any of them.
require 'support.fake_c'
local cloud = require 'ccrelay.providers.cloud'
local json = require 'ccrelay.util.json'

-- A request whose body is a table; what was edited is in .body, as decoded.
local function request_of(body, header, more)
  more = more or {}
  local self = { body = body, removed = {}, settings = more.settings or {}, model = more.model or 'claude-opus-5-5' }
  function self.client_header() return header end
  function self.raw(_, path)
    local value = body
    for name in path:gmatch '[^.]+' do value = type(value) == 'table' and value[name] or nil end
    return value ~= nil and json.encode(value) or nil
  end
  function self.remove(_, path)
    self.removed[#self.removed + 1] = path
    local at, last = body, path:match '[^.]+$'
    for name in path:sub(1, -#last - 2):gmatch '[^.]+' do at = type(at) == 'table' and at[name] or nil end
    if type(at) == 'table' then at[last] = nil end
  end
  function self.has() return more.has or false end
  function self.set(_, name, value) body[name] = value end
  return self
end

describe('the family of a model', function()
  for name, family in pairs {
    ['claude-3-5-haiku-20241022'] = 3, ['claude-3-haiku'] = 3, ['claude-sonnet-4-5'] = 4,
    ['us.anthropic.claude-sonnet-4-5-20250929-v1:0'] = 4, ['claude-opus-5-5'] = 5, ['claude-opus-4@20250514'] = 4,
    ['anthropic.claude-haiku-10'] = 10, ['claude-haiku-5'] = 5,
  } do
    it('is known from ' .. name, function() assert.equal(family, cloud.family(name)) end)
  end

  it('is unknown for other names', function()
    for _, name in ipairs { 'arn:aws:bedrock:x:1:application-inference-profile/abc', 'GLM-4.7', 'claude', '' } do
      assert.is_nil(cloud.family(name))
    end
  end)
end)

describe('betas', function()
  it('are the permitted ones, in the client\'s order, each once', function()
    local request = request_of({}, 'b-2, a-1,unknown-3,, a-1 ')
    assert.same({ 'b-2', 'a-1' }, cloud.betas(request, { 'a-1', 'b-2', 'c-3' }))
  end)

  it('include those of allowed_betas', function()
    local request = request_of({}, 'a-1,mine-2', { settings = { allowed_betas = { 'mine-2' } } })
    assert.same({ 'a-1', 'mine-2' }, cloud.betas(request, { 'a-1' }))
  end)

  it('have the name the cloud knows', function()
    local request = request_of({}, 'advanced-tool-use-2025-11-20,tool-search-tool-2025-10-19')
    assert.same({ 'tool-search-tool-2025-10-19' }, cloud.betas(request, { 'tool-search-tool-2025-10-19' }))
  end)

  it('can leave out families', function()
    assert.same({ 'a-2026-01-01', 'web' }, cloud.except({ 'a-2026-01-01', 'web-search-2025-03-05', 'web' },
      { 'web-search' }))
  end)

  it('are none without a header', function() assert.same({}, cloud.betas(request_of({}, nil), { 'a' })) end)
end)

describe('the body', function()
  it('loses the fields that the schema refuses', function()
    local request = request_of { context_management = { edits = {} }, metadata = { user_id = 'u' } }
    cloud.body(request, 'v-1', {})
    assert.same({ metadata = { user_id = 'u' }, anthropic_version = 'v-1' }, request.body)
  end)

  local PAIRS = {
    compaction = 'compact-2026-09-04', container = 'code-execution-2025-08-25',
    context_management = 'context-management-2025-06-27', diagnostics = 'cache-diagnosis-2026-04-07',
    fallback_credit_token = 'fallback-credit-2026-07-01', fallbacks = 'server-side-fallback-2026-07-01',
    mcp_servers = 'mcp-client-2025-11-20', speed = 'fast-mode-2026-02-01', tags = 'request-tags-2026-08-21',
  }
  for member, beta in pairs(PAIRS) do
    it('has ' .. member .. ' only together with its beta', function()
      local request = request_of { [member] = 'x' }
      cloud.body(request, 'v', { 'other-2026-01-01', beta })
      assert.same({ [member] = 'x', anthropic_version = 'v' }, request.body)
      cloud.body(request, 'v', { 'other-2026-01-01', beta:sub(1, -2), beta:sub(2) })
      assert.same({ anthropic_version = 'v' }, request.body)
    end)
  end

  it('has a field of several betas with any of them', function()
    for _, beta in ipairs { 'skills-2025-10-02', 'code-execution-2025-05-22' } do
      local request = request_of { container = 'x' }
      cloud.body(request, 'v', { beta })
      assert.equal('x', request.body.container)
    end
  end)

  it('has output_config.task_budget only together with its beta', function()
    local request = request_of { output_config = { effort = 'low', task_budget = { total = 1 } } }
    cloud.body(request, 'v', { 'task-budgets-2026-03-13' })
    assert.same({ effort = 'low', task_budget = { total = 1 } }, request.body.output_config)
    cloud.body(request, 'v', {})
    assert.same({ effort = 'low' }, request.body.output_config)
  end)

  it('never has a top-level cache_control', function()
    local request = request_of { cache_control = { type = 'ephemeral' } }
    cloud.body(request, 'v', { 'prompt-caching-scope-2026-01-05' })
    assert.is_nil(request.body.cache_control)
  end)

  it('keeps safeguards, as a provider without them must refuse the request', function()
    local request = request_of { safeguards = { 1 } }
    cloud.body(request, 'v', {})
    assert.same({ 1 }, request.body.safeguards)
  end)

  it('is searched for scopes of cache_control only if it has some and their beta is not sent', function()
    local function searched(betas, has)
      local request, count = request_of({}, nil, { has = has }), 0
      cloud.body(request, 'v', betas)
      for _, path in ipairs(request.removed) do count = count + (path:find 'cache_control%.scope$' and 1 or 0) end
      return count > 0
    end
    assert.is_true(searched({}, true))
    assert.is_false(searched({}, false))
    assert.is_false(searched({ 'prompt-caching-scope-2026-01-05' }, true))
  end)

  it('keeps the version it has', function()
    local request = request_of { anthropic_version = 'mine' }
    cloud.body(request, 'v-1', {})
    assert.equal('mine', request.body.anthropic_version)
  end)

  local thinking = { type = 'adaptive', display = 'omitted' }

  it('keeps thinking.display from the 5 family on', function()
    local request = request_of { thinking = thinking }
    cloud.body(request, 'v', {})
    assert.same(thinking, request.body.thinking)
  end)

  it('loses thinking.display before, and if the family is unknown', function()
    for _, model in ipairs { 'claude-sonnet-4-5', 'arn:aws:bedrock:us-east-1:1:application-inference-profile/abc' } do
      local request = request_of({ thinking = thinking }, nil, { model = model })
      cloud.body(request, 'v', {})
      assert.same({ type = 'adaptive' }, request.body.thinking)
    end
  end)

  it('takes the family from the client\'s model name if the cloud\'s does not show it', function()
    local request = request_of({ thinking = thinking }, nil, { model = 'arn:aws:bedrock:x:1:custom/abc' })
    request.original_model = 'claude-opus-5-5'
    cloud.body(request, 'v', {})
    assert.same(thinking, request.body.thinking)
  end)

  it('gets the betas unless it has its own list', function()
    local request = request_of {}
    cloud.put_betas(request, { 'a' })
    assert.same({ 'a' }, request.body.anthropic_beta)
    cloud.put_betas(request, { 'b' })
    assert.same({ 'a' }, request.body.anthropic_beta)
    request = request_of {}
    cloud.put_betas(request, {})
    assert.is_nil(request.body.anthropic_beta)
  end)
end)

describe('a model in a path', function()
  for model, segment in pairs {
    ['us.anthropic.claude-sonnet-4-5-20250929-v1:0'] = 'us.anthropic.claude-sonnet-4-5-20250929-v1:0',
    ['claude-sonnet-4-5@20250929'] = 'claude-sonnet-4-5@20250929',
    ['arn:aws:bedrock:us-east-1:1234:application-inference-profile/abc'] =
      'arn:aws:bedrock:us-east-1:1234:application-inference-profile%2Fabc',
    ['a b?c#d%e'] = 'a%20b%3Fc%23d%25e', ['..'] = '%2E%2E', ['\195\164'] = '%C3%A4', ['a/../b'] = 'a%2F..%2Fb',
  } do
    it('is one segment: ' .. model, function() assert.equal(segment, cloud.segment(model)) end)
  end
end)
