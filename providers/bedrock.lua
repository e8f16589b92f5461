-- SPDX-License-Identifier: Apache-2.0
-- Amazon Bedrock: Anthropic's models through InvokeModel. Requests are signed; streams are AWS event streams.
local fit = require 'ccrelay.fit'
local json = require 'ccrelay.json'

-- The values of anthropic_beta that Amazon documents for the Messages API. A model answers 400 to a beta that it
-- does not know. allowed_betas in the configuration adds to the list.
local BETAS = {
  'computer-use-2024-10-22', 'computer-use-2025-01-24', 'token-efficient-tools-2025-02-19',
  'output-128k-2025-02-19', 'interleaved-thinking-2025-05-14', 'dev-full-thinking-2025-05-14',
  'context-1m-2025-08-07', 'tool-search-tool-2025-10-19', 'tool-examples-2025-10-29', 'effort-2025-11-24',
}

-- CountTokens takes the id of a model, not of an inference profile ("eu.anthropic...").
local function model_id(model)
  return model:match '/[%l-]+%.(anthropic%..+)$' or model:match '^[%l-]+%.(anthropic%..+)$' or model
end

-- max_tokens must be greater than the thinking budget.
local function least_max_tokens(request)
  return (tonumber(request:raw 'thinking.budget_tokens' or '') or 0) + 1
end

-- Changes what InvokeModel accepts but CountTokens refuses.
local function fit_count(request)
  if (tonumber(request:raw 'max_tokens' or '') or 0) < least_max_tokens(request) then
    request:set('max_tokens', least_max_tokens(request))
  end
  if (request:raw 'tools' or ''):find '^%[%s*%]$' then request:remove 'tools' end
end

local function prepare(request)
  request:remove 'model'
  request:remove 'stream'
  local betas = fit.betas(request, BETAS)
  fit.body(request, 'bedrock-2023-05-31', betas)
  fit.put_betas(request, betas)
  request:header('anthropic-version', '')
  request:header('anthropic-beta', '')
  request:header('content-type', 'application/json')
  local model, verb = request.model, request.stream and '/invoke-with-response-stream' or '/invoke'
  if request.endpoint == 'count_tokens' then
    fit_count(request)
    request:replace(json.encode { input = { invokeModel = { body = request:base64(request:edited()) } } })
    model, verb = model_id(model), '/count-tokens'
  elseif request.stream then
    request:header('accept', 'application/vnd.amazon.eventstream')
  end
  request:target(request.base .. '/model/' .. fit.segment(model) .. verb)
end

-- CountTokens is free of charge. The body is base64 of a request with one short message.
local COUNTED = 'eyJhbnRocm9waWNfdmVyc2lvbiI6ImJlZHJvY2stMjAyMy0wNS0zMSIsIm1heF90b2tlbnMiOjEsIm1lc3NhZ2VzIjpb'
  .. 'eyJyb2xlIjoidXNlciIsImNvbnRlbnQiOiJoaSJ9XX0='
local ANY_MODEL = 'anthropic.claude-sonnet-4-20250514-v1:0'

local function check(_, model)
  return {
    method = 'POST', path = '/model/' .. fit.segment(model_id(model or ANY_MODEL)) .. '/count-tokens',
    body = json.encode { input = { invokeModel = { body = COUNTED } } },
  }
end

local function count_tokens(outcome)
  if not outcome.ok then return fit.uncounted(outcome) end
  local answer = json.decode(outcome.body)
  return type(answer) == 'table' and answer.inputTokens or false
end

-- 424 means that the model failed; the model of another provider may not. AccessDenied concerns one model only, so
-- it must not suspend the key.
local function classify(outcome, settings)
  fit.blame(outcome, settings, 'aws_region')
  if outcome.status == 424 then outcome.retryable, outcome.verdict = true, 'failed' end
  local kind = outcome.headers and outcome.headers['x-amzn-errortype'] or ''
  if outcome.status == 403 and kind:find '^AccessDenied' then outcome.verdict = 'neutral' end
end

return {
  name = 'bedrock',
  models = { 'anthropic.*', '*.anthropic.*', 'arn:aws*:bedrock:*' },
  credentials = 'aws',
  service = 'bedrock',
  framing = 'eventstream',
  request_id = 'x-amzn-requestid',
  passes = { 'accept', 'user-agent', 'x-amzn-bedrock-guardrailidentifier', 'x-amzn-bedrock-guardrailversion' },
  supports = { safeguards = false },
  base_url = function(settings)
    return settings.base_url or 'https://bedrock-runtime.' .. settings.aws_region .. '.amazonaws.com'
  end,
  prepare = prepare,
  check = check,
  classify = classify,
  count_tokens = count_tokens,
}
