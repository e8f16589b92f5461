-- SPDX-License-Identifier: Apache-2.0
-- Finds the providers whose credentials are in the environment, for the starter file. It guarantees that no value of a
-- variable is in what it returns: settings name variables as ${NAME}.
local M = {}

---@class ccrelay.Discovered
---@field name string
---@field type string
---@field from string? the variable by which it was found; nil for providers that are always included
---@field settings { [1]: string, [2]: string }[] names and values of settings
---@field mapping table<string, string>? an example of model_mapping
---@field key string
---@field whole boolean? whether the starter file shows all of its settings

-- The first of the variables that is set and not empty.
local function first(env, names)
  for _, name in ipairs(names) do
    local value = env(name)
    if value and value ~= '' then return name end
  end
end

local function reference(name)
  return '${' .. name .. '}'
end

local function keyed(name, variable)
  return function(env)
    if not first(env, { variable }) then return nil end
    return { name = name, type = name, from = variable, settings = {}, key = reference(variable) }
  end
end

local AWS = {
  'AWS_BEARER_TOKEN_BEDROCK', 'AWS_ACCESS_KEY_ID', 'AWS_PROFILE', 'AWS_WEB_IDENTITY_TOKEN_FILE',
  'AWS_CONTAINER_CREDENTIALS_RELATIVE_URI', 'AWS_CONTAINER_CREDENTIALS_FULL_URI',
}

local function bedrock(env)
  local from = first(env, AWS)
  if not from then return nil end
  local region = first(env, { 'AWS_REGION', 'AWS_DEFAULT_REGION' })
  if not region then return nil, from .. ' is set, but bedrock is left out: set AWS_REGION too' end
  return {
    name = 'bedrock', type = 'bedrock', from = from, settings = { { 'aws_region', reference(region) } },
    mapping = { ['claude-sonnet-4-5*'] = 'us.anthropic.claude-sonnet-4-5-20250929-v1:0' }, key = 'bedrock-internal',
  }
end

local function vertex(env)
  local project = first(env, { 'ANTHROPIC_VERTEX_PROJECT_ID', 'GOOGLE_CLOUD_PROJECT' })
  local from = project or first(env, { 'GOOGLE_APPLICATION_CREDENTIALS' })
  if not from then return nil end
  if not project then return nil, from .. ' is set, but vertex is left out: set GOOGLE_CLOUD_PROJECT too' end
  local region = first(env, { 'CLOUD_ML_REGION', 'GOOGLE_CLOUD_LOCATION' })
  return {
    name = 'vertex', type = 'vertex', from = from, key = 'vertex-internal',
    settings = { { 'gcp_project_id', reference(project) }, { 'gcp_region', region and reference(region) or 'global' } },
    mapping = { ['claude-sonnet-4-5*'] = 'claude-sonnet-4-5@20250929' },
  }
end

local function azure(env)
  local key = first(env, { 'ANTHROPIC_FOUNDRY_API_KEY', 'AZURE_API_KEY' })
  local entra = first(env, { 'AZURE_CLIENT_SECRET', 'AZURE_FEDERATED_TOKEN_FILE' })
  local resource = first(env, { 'ANTHROPIC_FOUNDRY_RESOURCE', 'AZURE_RESOURCE_NAME' })
  local base = first(env, { 'ANTHROPIC_FOUNDRY_BASE_URL' })
  local from = key or entra
  if not from then return nil end
  if not resource and not base then
    return nil, from .. ' is set, but azure is left out: set ANTHROPIC_FOUNDRY_RESOURCE too'
  end
  local settings = { resource and { 'azure_resource_name', reference(resource) } or { 'base_url', reference(base) } }
  if not key then settings[2] = { 'azure_auth', 'entra_id' } end
  return {
    name = 'azure', type = 'azure', from = from, settings = settings, key = key and reference(key) or 'azure-internal',
    mapping = { ['claude-sonnet-4-5*'] = 'name-of-the-deployment' },
  }
end

local SEARCHES = { bedrock, vertex, azure, keyed('zai', 'ZAI_API_KEY'), keyed('minimax', 'MINIMAX_API_KEY') }

--- Returns the providers for a starter file, in the order in which they are tried. Without any variable these are
--- anthropic, zai and ollama, as in the built-in configuration; otherwise anthropic, those found, and ollama.
---@param env fun(name: string): string?
---@return ccrelay.Discovered[] providers
---@return string[] notes providers that were left out although one of their variables is set
function M.providers(env)
  local list, notes, found = {
    { name = 'anthropic', type = 'anthropic', from = first(env, { 'ANTHROPIC_API_KEY' }), settings = {},
      key = '${ANTHROPIC_API_KEY}', whole = true },
  }, {}, false
  for _, search in ipairs(SEARCHES) do
    local provider, note = search(env)
    list[#list + 1], notes[#notes + 1] = provider, note
    found = found or provider ~= nil
  end
  if not found and not list[1].from then
    list[2] = { name = 'zai', type = 'zai', settings = {}, key = '${ZAI_API_KEY}' }
  end
  list[#list + 1] = { name = 'ollama', type = 'ollama', settings = {}, key = 'ollama' }
  return list, notes
end

return M
