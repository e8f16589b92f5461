-- SPDX-License-Identifier: Apache-2.0
-- Google Vertex AI: Anthropic's models as models of a publisher. Bodies are nearly those of Anthropic's API.
local fit = require 'ccrelay.fit'
local json = require 'ccrelay.json'

local BETAS = {
  'claude-code-20250219', 'computer-use-2024-10-22', 'computer-use-2025-01-24', 'token-efficient-tools-2025-02-19',
  'output-128k-2025-02-19', 'web-search-2025-03-05', 'interleaved-thinking-2025-05-14',
  'fine-grained-tool-streaming-2025-05-14', 'context-1m-2025-08-07', 'tool-search-tool-2025-10-19',
  'tool-examples-2025-10-29', 'effort-2025-11-24',
}

-- Families of betas, and fields of the body, that count-tokens refuses.
local BETAS_NOT_COUNTED = { 'tool-search-tool', 'web-search' }
local FIELDS_NOT_COUNTED = { 'max_tokens', 'metadata', 'stop_sequences', 'stream', 'temperature', 'top_k', 'top_p' }

local HOSTS = {
  global = 'https://aiplatform.googleapis.com',
  us = 'https://aiplatform.us.rep.googleapis.com',
  eu = 'https://aiplatform.eu.rep.googleapis.com',
}

local function base_url(settings)
  local region = settings.gcp_region
  local base = settings.base_url or HOSTS[region] or 'https://' .. region .. '-aiplatform.googleapis.com'
  base = base:gsub('/+$', '')
  return base:find '/v1$' and base or base .. '/v1'
end

-- count-tokens takes the model in the body, without the @date after its name.
local function fit_count(request)
  local model = request.model:gsub('@.*', '')
  if model ~= request.original_model then request:set('model', model) end
  for _, name in ipairs(FIELDS_NOT_COUNTED) do request:remove(name) end
end

-- Claude Code recognizes a request that is too large only by this message, and then compacts the conversation.
local function rewrite_size_error(outcome)
  if outcome.status ~= 400 and outcome.status ~= 413 then return end
  local words = (outcome.body or ''):lower()
  if not words:find 'request size.-exceeds.-%d%s?mb' and not words:find 'message size.-exceeds.-%d%s?mb' then return end
  outcome.type, outcome.message = 'invalid_request_error', 'Input is too long.'
end

local function prepare(request)
  local settings, counts = request.settings, request.endpoint == 'count_tokens'
  if counts then fit_count(request) else request:remove 'model' end
  local betas = fit.betas(request, BETAS)
  if counts then betas = fit.except(betas, BETAS_NOT_COUNTED) end
  fit.body(request, 'vertex-2023-10-16', betas)
  request:header('anthropic-beta', table.concat(betas, ','))
  request:header('anthropic-version', '')
  request:header('content-type', 'application/json')
  local model = counts and 'count-tokens' or fit.segment(request.model)
  local verb = request.stream and not counts and ':streamRawPredict' or ':rawPredict'
  request:target(('%s/projects/%s/locations/%s/publishers/anthropic/models/%s%s'):format(request.base,
    fit.segment(settings.gcp_project_id), fit.segment(settings.gcp_region), model, verb))
end

-- The endpoint count-tokens is free of charge.
local function check(settings, model)
  if not model then return nil end
  local body = { model = model:gsub('@.*', ''), messages = json.array { { role = 'user', content = 'hi' } } }
  return {
    method = 'POST', body = json.encode(body),
    path = ('/projects/%s/locations/%s/publishers/anthropic/models/count-tokens:rawPredict'):format(
      fit.segment(settings.gcp_project_id), fit.segment(settings.gcp_region)),
  }
end

return {
  name = 'vertex',
  models = { 'claude-*@*' },
  credentials = 'google',
  passes = { 'accept', 'user-agent' },
  supports = { safeguards = false },
  base_url = base_url,
  prepare = prepare,
  check = check,
  classify = function(outcome, settings)
    fit.blame(outcome, settings, 'gcp_region')
    rewrite_size_error(outcome)
  end,
  count_tokens = fit.uncounted,
}
