-- SPDX-License-Identifier: Apache-2.0
-- The adapters of the clouds: what they send, and how they read the answers.
local stage = require 'support.stage'
local json = require 'ccrelay.util.json'

local MODEL = 'claude-sonnet-4-5'
local BETAS = 'claude-code-20250219,interleaved-thinking-2025-05-14,context-management-2025-06-27,'
  .. 'advanced-tool-use-2025-11-20,made-up-2030-01-01'
local ENV = { AWS_ACCESS_KEY_ID = 'AKID', AWS_SECRET_ACCESS_KEY = 'CANARY7f3a9d' }

local function new(settings)
  settings.name = settings.name or 'p'
  return stage.new { providers = { settings }, env = function(name) return ENV[name] end }
end

local function ask(self, body, more)
  local request = more or {}
  request.path = request.path or '/v1/messages?beta=true'
  request.headers = request.headers or { ['anthropic-beta'] = BETAS, ['anthropic-version'] = '2023-06-01' }
  request.body = body or {}
  local answer, exchange = self:request(request)
  return exchange.tries[1], answer, exchange
end

local function bedrock(more)
  local settings = { type = 'bedrock', aws_region = 'us-east-1' }
  for name, value in pairs(more or {}) do settings[name] = value end
  return new(settings)
end

describe('bedrock', function()
  it('is at the address of its region, with signed requests', function()
    local attempt = ask(bedrock { base_url = false })
    assert.equal('bedrock-runtime.us-east-1.amazonaws.com', attempt.origin.host)
    assert.is_true(attempt.origin.tls)
    assert.same({ access_key = 'AKID', secret_key = 'CANARY7f3a9d', session_token = '', region = 'us-east-1',
      service = 'bedrock', skew_ms = 0 }, attempt.signer)
  end)

  it('gets a body without model and stream, with version and known betas', function()
    local attempt = ask(bedrock(), { stream = true, context_management = { edits = {} } })
    assert.equal('/model/claude-sonnet-4-5/invoke-with-response-stream', attempt.target)
    assert.same({
      model = false, stream = false, context_management = false, anthropic_version = '"bedrock-2023-05-31"',
      anthropic_beta = '["interleaved-thinking-2025-05-14","tool-search-tool-2025-10-19"]',
    }, attempt.edits)
    assert.equal('', attempt.headers['anthropic-beta'])
    assert.equal('', attempt.headers['anthropic-version'])
    assert.equal(stage.C.CC_FRAMING_EVENTSTREAM, attempt.framing)
  end)

  it('is asked for a plain answer at /invoke', function()
    assert.equal('/model/claude-sonnet-4-5/invoke', ask(bedrock()).target)
  end)

  for mapped, segment in pairs {
    ['us.anthropic.claude-sonnet-4-5-20250929-v1:0'] = 'us.anthropic.claude-sonnet-4-5-20250929-v1:0',
    ['arn:aws:bedrock:us-east-1:1234:application-inference-profile/abc'] =
      'arn:aws:bedrock:us-east-1:1234:application-inference-profile%2Fabc',
  } do
    it('gets a model as one segment: ' .. mapped, function()
      assert.equal('/model/' .. segment .. '/invoke', ask(bedrock { model_mapping = { [MODEL] = mapped } }).target)
    end)
  end

  it('gets no thinking.display before the 5 family', function()
    local thinking = { type = 'enabled', budget_tokens = 1000, display = 'omitted' }
    assert.is_false(ask(bedrock(), { thinking = thinking }).edits['thinking.display'])
    assert.is_nil(ask(bedrock(), { thinking = thinking, model = 'claude-opus-5-5' }).edits['thinking.display'])
  end)

  it('gets the betas that allowed_betas adds, with their fields', function()
    local attempt = ask(bedrock { allowed_betas = { 'context-management-2025-06-27' } },
      { context_management = { edits = {} } })
    assert.is_nil(attempt.edits.context_management)
    assert.is_truthy(attempt.edits.anthropic_beta:find('context-management-2025-06-27', 1, true))
  end)

  it('has keys that are never sent', function()
    local attempt = ask(bedrock { keys = { { key = 'bedrock-internal' } } })
    for _, value in pairs(attempt.headers) do assert.is_nil(value:find 'internal') end
  end)

  local function count(mapped, reply, body)
    local self = bedrock { model_mapping = { [MODEL] = mapped } }
    self:reply('p', reply)
    return ask(self, body, { path = '/v1/messages/count_tokens?beta=true' })
  end

  it('counts tokens of the model without its profile, and answers in Anthropic\'s shape', function()
    local attempt, answer = count('us.anthropic.claude-sonnet-4-5-v1:0', { body = '{"inputTokens":77}' })
    assert.equal('/model/anthropic.claude-sonnet-4-5-v1:0/count-tokens', attempt.target)
    assert.same({ input_tokens = 77 }, answer.json)
    assert.is_nil(answer.headers['x-ccrelay-estimated'])
    local inner = json.decode(attempt.body).input.invokeModel.body
    assert.is_string(inner)
    assert.is_true(#inner > 40)
  end)

  it('counts tokens of the model of an inference profile by its ARN', function()
    local arn = 'arn:aws:bedrock:us-east-1:1:inference-profile/eu.anthropic.claude-x-v1:0'
    assert.equal('/model/anthropic.claude-x-v1:0/count-tokens', count(arn, { body = '{"inputTokens":1}' }).target)
    for _, profile in ipairs { 'us-gov.anthropic.claude-x-v1:0', (arn:gsub('/eu', '/us-gov')) } do
      local target = count(profile, { body = '{"inputTokens":1}' }).target
      assert.equal('/model/anthropic.claude-x-v1:0/count-tokens', target)
    end
  end)

  for what, reply in pairs {
    ['that are not counted'] = { status = 400, body = '{"message":"The model does not support counting tokens."}' },
    ['the identity may not count with'] = { status = 403, body = '{"message":"no permission"}' },
    ['that are unknown'] = { status = 404, body = '{}' },
    ['with an answer that has no count'] = { status = 200, body = '{}' },
  } do
    it('estimates counts for models ' .. what, function()
      local _, answer = count('x', reply)
      assert.equal(200, answer.status)
      assert.equal('true', answer.headers['x-ccrelay-estimated'])
      assert.is_true(answer.json.input_tokens > 0)
    end)
  end

  it('reports a limit of counts as a limit', function()
    local _, answer = count('x', { status = 429, body = '{"message":"slow down"}' })
    assert.equal(429, answer.status)
  end)

  local function counted(body)
    return count('x', { body = '{"inputTokens":1}' }, body).edits
  end

  it('counts without fields it does not have, and with max_tokens above the thinking budget', function()
    local thinking = { type = 'enabled', budget_tokens = 1000 }
    local edits = counted { tags = { team = 'a' }, max_tokens = 5, thinking = thinking }
    assert.same({ false, false }, { edits.tags, edits.model })
    assert.equal('1001', edits.max_tokens)
    assert.is_nil(counted { max_tokens = 2000, thinking = thinking }.max_tokens)
    assert.is_nil(counted { tools = { { name = 'x' } } }.tools)
  end)

  it('errors come in Anthropic\'s shape with message, status and request id', function()
    local self = bedrock()
    self:reply('p', { status = 400, body = '{"message":"The provided model identifier is invalid."}',
      headers = { ['x-amzn-requestid'] = 'abc-1', ['x-amzn-errortype'] = 'ValidationException' } })
    local _, answer = ask(self)
    assert.equal(400, answer.status)
    assert.same({ type = 'invalid_request_error', message = 'The provided model identifier is invalid.' },
      answer.json.error)
    assert.equal('abc-1', answer.headers['request-id'])
  end)

  for status, kind in pairs { [408] = 'timeout_error', [424] = 'api_error', [429] = 'rate_limit_error' } do
    it('a ' .. status .. ' keeps its status', function()
      local self = bedrock()
      self:reply('p', { status = status, body = '{"message":"words"}' })
      local _, answer = ask(self)
      assert.same({ status, kind, 'words' }, { answer.status, answer.json.error.type, answer.json.error.message })
    end)
  end

  it('access denied to one model does not affect the others', function()
    local self = bedrock()
    self:reply('p', { status = 403, body = '{"message":"no access"}',
      headers = { ['x-amzn-errortype'] = 'AccessDeniedException' } }, {})
    local _, answer = ask(self)
    assert.equal(403, answer.status)
    local _, later = ask(self)
    assert.equal(200, later.status)
  end)

  it('an unknown region is named in the error', function()
    local self = bedrock { aws_region = 'us-esat-1', base_url = false }
    self.replies['bedrock-runtime.us-esat-1.amazonaws.com'] = { { error = 'CC_EDNS' } }
    local _, answer = ask(self)
    assert.is_truthy(answer.json.error.message:find('is aws_region "us-esat-1" right?', 1, true))
  end)
end)

describe('mantle and Claude Platform on AWS', function()
  it('get Anthropic\'s own request, signed for their service', function()
    local attempt = ask(new { type = 'mantle', aws_region = 'us-east-1', base_url = false })
    assert.equal('bedrock-mantle.us-east-1.api.aws', attempt.origin.host)
    assert.equal('/anthropic/v1/messages?beta=true', attempt.target)
    assert.equal('bedrock-mantle', attempt.signer.service)
    assert.is_nil(attempt.headers['anthropic-beta'])
    assert.same({}, attempt.edits)
    attempt = ask(new { type = 'claude_aws', aws_region = 'us-east-1', base_url = false, workspace_id = 'ws-1' })
    assert.equal('aws-external-anthropic.us-east-1.api.aws', attempt.origin.host)
    assert.equal('/v1/messages?beta=true', attempt.target)
    assert.equal('ws-1', attempt.headers['anthropic-workspace-id'])
    assert.equal('aws-external-anthropic', attempt.signer.service)
    assert.same({}, attempt.edits)
  end)

  it('at Mantle leave out request tags, beta and field, and nothing else', function()
    local self = new { type = 'mantle', aws_region = 'us-east-1', base_url = false }
    local function sent(betas)
      return ask(self, { tags = { team = 'a' }, speed = 'fast' }, { headers = { ['anthropic-beta'] = betas } })
    end
    local attempt = sent 'made-up-2030-01-01,request-tags-2026-08-21,fast-mode-2026-02-01'
    assert.equal('made-up-2030-01-01,fast-mode-2026-02-01', attempt.headers['anthropic-beta'])
    assert.same({ tags = false }, attempt.edits)
    assert.equal('', sent('request-tags-2026-08-21').headers['anthropic-beta'])
  end)
end)

describe('azure', function()
  local function azure(more)
    local settings = { type = 'azure', base_url = false, azure_resource_name = 'res', keys = { { key = 'az-key' } } }
    for name, value in pairs(more or {}) do settings[name] = value end
    return new(settings)
  end

  it('is at its resource, with the key under both names', function()
    local attempt = ask(azure())
    assert.equal('res.services.ai.azure.com', attempt.origin.host)
    assert.equal('/anthropic/v1/messages?beta=true', attempt.target)
    assert.equal('az-key', attempt.headers['x-api-key'])
    assert.equal('az-key', attempt.headers['api-key'])
    assert.same({}, attempt.edits)
    assert.is_true(attempt.passes)
  end)

  for given, path in pairs {
    ['https://p.test'] = '/anthropic', ['https://p.test/anthropic/'] = '/anthropic',
    ['https://p.test/x'] = '/x/anthropic',
  } do
    it('is at base_url: ' .. given, function()
      assert.equal(path .. '/v1/messages?beta=true', ask(azure { base_url = given }).target)
    end)
  end

  it('gets the deployment as the model, unless one is mapped', function()
    assert.equal('"dep"', ask(azure { azure_deployment_id = 'dep' }).edits.model)
    assert.equal('"own"', ask(azure { azure_deployment_id = 'dep', model_mapping = { [MODEL] = 'own' } }).edits.model)
  end)

  it('gets the API version only if it is set', function()
    assert.equal('/anthropic/v1/messages?beta=true&api-version=2025-09-01',
      ask(azure { azure_api_version = '2025-09-01' }).target)
    assert.equal('/anthropic/v1/messages/count_tokens?beta=true',
      ask(azure(), nil, { path = '/v1/messages/count_tokens?beta=true' }).target)
  end)
end)

describe('vertex', function()
  local token = { body = '{"access_token":"ya29.CANARY7f3a9d","expires_in":3599,"token_type":"Bearer"}',
    headers = { ['metadata-flavor'] = 'Google' } }
  local PATH = '/v1/projects/proj/locations/%s/publishers/anthropic/models/%s'

  local function vertex(more)
    local settings = { type = 'vertex', gcp_project_id = 'proj', gcp_region = 'us-east5', base_url = false }
    for name, value in pairs(more or {}) do settings[name] = value end
    local self = new(settings)
    self.state.pages['GET http://metadata.google.internal/computeMetadata/v1/instance/service-accounts/default/token'] =
      { token }
    return self
  end

  it('is at the address of its region, with a token', function()
    local attempt = ask(vertex { model_mapping = { [MODEL] = 'claude-sonnet-4-5@20250929' } }, { stream = true })
    assert.equal('us-east5-aiplatform.googleapis.com', attempt.origin.host)
    assert.equal(PATH:format('us-east5', 'claude-sonnet-4-5@20250929:streamRawPredict'), attempt.target)
    assert.equal('Bearer ya29.CANARY7f3a9d', attempt.headers.authorization)
    assert.same({ model = false, anthropic_version = '"vertex-2023-10-16"' }, attempt.edits)
    assert.equal('claude-code-20250219,interleaved-thinking-2025-05-14,tool-search-tool-2025-10-19',
      attempt.headers['anthropic-beta'])
    assert.equal('', attempt.headers['anthropic-version'])
  end)

  for region, host in pairs {
    global = 'aiplatform.googleapis.com', us = 'aiplatform.us.rep.googleapis.com',
    eu = 'aiplatform.eu.rep.googleapis.com',
  } do
    it('has its own address for ' .. region, function()
      local attempt = ask(vertex { gcp_region = region })
      assert.equal(host, attempt.origin.host)
      assert.equal(PATH:format(region, 'claude-sonnet-4-5:rawPredict'), attempt.target)
    end)
  end

  for _, base in ipairs { 'https://p.test', 'https://p.test/v1', 'https://p.test/v1/' } do
    it('is at base_url with or without its version: ' .. base, function()
      assert.equal(PATH:format('us-east5', 'claude-sonnet-4-5:rawPredict'), ask(vertex { base_url = base }).target)
    end)
  end

  it('counts tokens with the model in the body', function()
    local attempt = ask(vertex { model_mapping = { [MODEL] = 'claude-sonnet-4-5@20250929' } }, nil,
      { path = '/v1/messages/count_tokens' })
    assert.equal(PATH:format('us-east5', 'count-tokens:rawPredict'), attempt.target)
    assert.is_nil(attempt.edits.model, 'the name without its date is the client\'s own')
    attempt = ask(vertex { model_mapping = { [MODEL] = 'claude-haiku-4-5@20251001' } }, { model = MODEL },
      { path = '/v1/messages/count_tokens' })
    assert.equal('"claude-haiku-4-5"', attempt.edits.model)
  end)

  it('counts without the betas and fields that only messages have', function()
    local betas = 'tool-search-tool-2025-10-19,advanced-tool-use-2025-11-20,web-search-2025-03-05,effort-2025-11-24'
    local function sent(path)
      return ask(vertex(), { metadata = {}, temperature = 1 },
        { path = path, headers = { ['anthropic-beta'] = betas } })
    end
    local attempt = sent '/v1/messages/count_tokens'
    assert.equal('effort-2025-11-24', attempt.headers['anthropic-beta'])
    for _, name in ipairs { 'max_tokens', 'metadata', 'temperature' } do assert.is_false(attempt.edits[name]) end
    attempt = sent '/v1/messages'
    assert.equal('tool-search-tool-2025-10-19,web-search-2025-03-05,effort-2025-11-24',
      attempt.headers['anthropic-beta'])
    assert.is_nil(attempt.edits.max_tokens)
  end)

  for _, status in ipairs { 400, 403, 404, 501 } do
    it('estimates a count that is answered with ' .. status, function()
      local self = vertex { base_url = 'http://p.test' }
      self:reply('p', { status = status, body = '{"error":{"message":"no"}}' })
      local _, answer = ask(self, nil, { path = '/v1/messages/count_tokens' })
      assert.equal(200, answer.status)
      assert.equal('true', answer.headers['x-ccrelay-estimated'])
    end)
  end

  for what, reply in pairs {
    ['Google\'s shape'] = { status = 400, body = '{"error":{"code":400,"message":"Request size 33554433 bytes exceeds '
      .. 'the maximum allowed 30MB","status":"INVALID_ARGUMENT"}}' },
    ['Anthropic\'s'] = { status = 413, body = '{"type":"error","error":{"type":"request_too_large","message":'
      .. '"message size of 31457281 exceeds limit of 30 MB"}}' },
  } do
    it('a request that is too large gets the message that clients know, from ' .. what, function()
      local self = vertex { base_url = 'http://p.test' }
      self:reply('p', reply)
      local _, answer = ask(self)
      assert.equal(400, answer.status)
      assert.same({ type = 'invalid_request_error', message = 'Input is too long.' }, answer.json.error)
    end)
  end

  it('errors come in Anthropic\'s shape with their message', function()
    local self = vertex { base_url = 'http://p.test' }
    self:reply('p', { status = 404, body = '{"error":{"code":404,"message":"Publisher Model `x` was not found",'
      .. '"status":"NOT_FOUND"}}' })
    local _, answer = ask(self)
    assert.equal(404, answer.status)
    assert.same({ type = 'not_found_error', message = 'Publisher Model `x` was not found' }, answer.json.error)
  end)
end)

describe('Claude Platform on Google Cloud', function()
  it('gets Anthropic\'s own request at the address of its workspace', function()
    local self = new { type = 'claude_google', gcp_project_id = 'proj', gcp_region = 'global', workspace_id = 'ws',
      base_url = false }
    self.state.pages['GET http://metadata.google.internal/computeMetadata/v1/instance/service-accounts/default/token'] =
      { { body = '{"access_token":"t","expires_in":3599}', headers = { ['metadata-flavor'] = 'Google' } } }
    local attempt = ask(self)
    assert.equal('claude.googleapis.com', attempt.origin.host)
    assert.equal('/v1alpha/projects/proj/locations/global/workspaces/ws/invoke/v1/messages?beta=true', attempt.target)
    assert.equal('Bearer t', attempt.headers.authorization)
  end)
end)
