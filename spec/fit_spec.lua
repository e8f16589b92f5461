-- SPDX-License-Identifier: Apache-2.0
-- What is made fit for clouds, without any of them.
require 'support.fake_c'
local fit = require 'ccrelay.fit'
local json = require 'ccrelay.json'

-- A request whose body is a table; what was edited is in .body, as decoded.
local function request_of(body, header, more)
  more = more or {}
  local self = { body = body, settings = more.settings or {}, model = more.model or 'claude-opus-5-5' }
  function self.client_header() return header end
  function self.raw(_, path)
    local value = body
    for name in path:gmatch '[^.]+' do value = type(value) == 'table' and value[name] or nil end
    return value ~= nil and json.encode(value) or nil
  end
  function self.remove(_, name) body[name] = nil end
  function self.set(_, name, value) body[name] = value end
  function self.set_json(_, name, text) body[name] = json.decode(text) end
  function self.without(_, text, field)
    local value = json.decode(text)
    value[field] = nil
    return json.encode(value)
  end
  return self
end

describe('the family of a model', function()
  for name, family in pairs {
    ['claude-3-5-haiku-20241022'] = 3, ['claude-3-haiku'] = 3, ['claude-sonnet-4-5'] = 4,
    ['us.anthropic.claude-sonnet-4-5-20250929-v1:0'] = 4, ['claude-opus-5-5'] = 5, ['claude-opus-4@20250514'] = 4,
    ['anthropic.claude-haiku-10'] = 10, ['claude-haiku-5'] = 5,
  } do
    it('is told by ' .. name, function() assert.equal(family, fit.family(name)) end)
  end

  it('is unknown when the name does not tell', function()
    for _, name in ipairs { 'arn:aws:bedrock:x:1:application-inference-profile/abc', 'GLM-4.7', 'claude', '' } do
      assert.is_nil(fit.family(name))
    end
  end)
end)

describe('betas', function()
  it('are those permitted, in the client\'s order, each once', function()
    local request = request_of({}, 'b-2, a-1,unknown-3,, a-1 ')
    assert.same({ 'b-2', 'a-1' }, fit.betas(request, { 'a-1', 'b-2', 'c-3' }))
  end)

  it('are more where the configuration says so', function()
    local request = request_of({}, 'a-1,mine-2', { settings = { allowed_betas = { 'mine-2' } } })
    assert.same({ 'a-1', 'mine-2' }, fit.betas(request, { 'a-1' }))
  end)

  it('have the name the cloud knows', function()
    local request = request_of({}, 'advanced-tool-use-2025-11-20,tool-search-tool-2025-10-19')
    assert.same({ 'tool-search-tool-2025-10-19' }, fit.betas(request, { 'tool-search-tool-2025-10-19' }))
  end)

  it('are none without a header', function() assert.same({}, fit.betas(request_of({}, nil), { 'a' })) end)
end)

describe('the body', function()
  it('loses what the schema refuses', function()
    local request = request_of { context_management = { edits = {} }, safeguards = { 1 }, metadata = { user_id = 'u' } }
    fit.body(request, 'v-1', {})
    assert.same({ metadata = { user_id = 'u' }, anthropic_version = 'v-1' }, request.body)
  end)

  it('keeps both halves of a feature that is allowed', function()
    local request = request_of { context_management = { edits = {} }, safeguards = { 1 } }
    fit.body(request, 'v', { 'context-management-2025-06-27' })
    assert.same({ context_management = { edits = {} }, anthropic_version = 'v' }, request.body)
  end)

  it('keeps the version it has', function()
    local request = request_of { anthropic_version = 'mine' }
    fit.body(request, 'v-1', {})
    assert.equal('mine', request.body.anthropic_version)
  end)

  local thinking = { type = 'adaptive', display = 'omitted' }

  it('keeps thinking.display from the 5 family on', function()
    local request = request_of { thinking = thinking }
    fit.body(request, 'v', {})
    assert.same(thinking, request.body.thinking)
  end)

  it('loses it before, and where the family is unknown', function()
    for _, model in ipairs { 'claude-sonnet-4-5', 'arn:aws:bedrock:us-east-1:1:application-inference-profile/abc' } do
      local request = request_of({ thinking = thinking }, nil, { model = model })
      fit.body(request, 'v', {})
      assert.same({ type = 'adaptive' }, request.body.thinking)
    end
  end)

  it('tells the family by the client\'s name when the cloud\'s does not', function()
    local request = request_of({ thinking = thinking }, nil, { model = 'arn:aws:bedrock:x:1:custom/abc' })
    request.original_model = 'claude-opus-5-5'
    fit.body(request, 'v', {})
    assert.same(thinking, request.body.thinking)
  end)

  it('gets the betas unless it has a list of its own', function()
    local request = request_of {}
    fit.put_betas(request, { 'a' })
    assert.same({ 'a' }, request.body.anthropic_beta)
    fit.put_betas(request, { 'b' })
    assert.same({ 'a' }, request.body.anthropic_beta)
    request = request_of {}
    fit.put_betas(request, {})
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
    it('is one segment: ' .. model, function() assert.equal(segment, fit.segment(model)) end)
  end
end)
