-- SPDX-License-Identifier: Apache-2.0
-- Azure AI Foundry: Anthropic's API at an Azure resource. The model of a request is the name of a deployment.
local fit = require 'ccrelay.fit'
local json = require 'ccrelay.json'

local DEFAULT_VERSION = '2024-06-01'

local function base_url(settings)
  local base = settings.base_url
  if not base then
    if not settings.azure_resource_name then return nil, 'azure_resource_name or base_url is missing' end
    base = 'https://' .. settings.azure_resource_name .. '.services.ai.azure.com'
  end
  base = base:gsub('/+$', '')
  return base:find '/anthropic$' and base or base .. '/anthropic'
end

local function prepare(request)
  local settings = request.settings
  local deployment = request.model ~= request.original_model and request.model or settings.azure_deployment_id
  if deployment and deployment ~= request.original_model then request:set('model', deployment) end
  local version, query = settings.azure_api_version, request.query
  if version and version ~= DEFAULT_VERSION then
    query = (query ~= '' and query .. '&' or '') .. 'api-version=' .. version
  end
  request:target(request.base .. request.path .. (query ~= '' and '?' .. query or ''))
  -- Foundry reads x-api-key; other Azure services read api-key.
  if request.credential ~= 'client' and request.key then request:header('api-key', request.key) end
end

-- Counting tokens is free of charge.
local function check(settings, model)
  local deployment = settings.azure_deployment_id or model
  if not deployment then return nil end
  local body = { model = deployment, messages = json.array { { role = 'user', content = 'hi' } } }
  return { method = 'POST', path = '/v1/messages/count_tokens', body = json.encode(body) }
end

return {
  name = 'azure',
  credentials = function(settings) return settings.azure_auth == 'entra_id' and 'entra' or 'key' end,
  base_url = base_url,
  prepare = prepare,
  check = check,
  classify = function(outcome, settings) fit.blame(outcome, settings, 'azure_resource_name') end,
}
