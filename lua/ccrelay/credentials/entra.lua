-- SPDX-License-Identifier: Apache-2.0
-- The credential scheme entra (Azure AI Foundry): a bearer token of Entra ID for an application, or for the managed
-- identity of the machine.
local advice = require 'ccrelay.credentials.entra.advice'
local token_request = require 'ccrelay.credentials.token_request'
local bearer = require 'ccrelay.credentials.bearer'
local sha256 = require 'ccrelay.util.sha256'
local form = require 'ccrelay.credentials.form'
local plan = require 'ccrelay.credentials.entra.plan'
local texts = require 'ccrelay.util.text'
local token_reply = require 'ccrelay.credentials.token_reply'

local M = {}

local ADVISORY_MS, MANDATORY_MS = 300000, 10000
local SCOPE, RESOURCE = 'https://ai.azure.com/.default', 'https://ai.azure.com'
local ASSERTION = 'urn:ietf:params:oauth:client-assertion-type:jwt-bearer'
local TIMEOUT_MS, IMDS_TIMEOUT_MS = 10000, 3000
local PASSING = { [408] = true, [429] = true }
local MOVING = { [404] = true, [410] = true }
local NOTHING = 'neither AZURE_CLIENT_SECRET nor AZURE_FEDERATED_TOKEN_FILE is set'
local ELSEWHERE = 'outside Azure set AZURE_TENANT_ID, AZURE_CLIENT_ID and AZURE_CLIENT_SECRET'
local NO_IDENTITY = 'assign a managed identity to this machine'
local OTHER_IDENTITY = 'check that AZURE_CLIENT_ID is the client id of an identity assigned to this machine'

local function passes(failure)
  return not failure.status or PASSING[failure.status] or failure.status >= 500
end

-- Outside Azure nothing listens there, so no answer is final. The service answers 404 or 410 while it is updated.
local function imds_passes(failure)
  return failure.status ~= nil and (passes(failure) or MOVING[failure.status] or false)
end

local function problem_of(failure, todo)
  local final = failure.status ~= nil and not imds_passes(failure) and failure.status ~= 200
  return { message = failure.message .. (todo and '; ' .. todo or ''), final = final or nil }
end

-- ---- Applications ------------------------------------------------------------------------------

local function client_credential(context, found)
  if found.secret then return { { 'client_secret', found.secret } }, found.secret end
  local text, reason = context.read(found.file)
  local lack = not text and 'cannot be read: ' .. reason
  local token = text and texts.trim(text)
  if token and not token_reply.is_token(token) then lack = 'contains no token' end
  if lack then return nil, 'the file that AZURE_FEDERATED_TOKEN_FILE names (' .. found.file .. ') ' .. lack end
  return { { 'client_assertion_type', ASSERTION }, { 'client_assertion', token } }, token
end

local function fetch_application(context, found, ca_file)
  local entries, secret = client_credential(context, found)
  if not entries then return nil, { message = secret } end
  local url = found.base .. '/' .. found.tenant .. '/oauth2/v2.0/token'
  local who = 'Entra ID (' .. url .. ')'
  local body = { { 'client_id', found.client }, { 'grant_type', 'client_credentials' }, { 'scope', SCOPE } }
  for _, entry in ipairs(entries) do body[#body + 1] = entry end
  local reply, failure = token_request.send {
    who = who, passes = passes,
    request = {
      url = url, method = 'POST', headers = { ['content-type'] = form.TYPE, accept = 'application/json' },
      body = form.encode(body), timeout_ms = TIMEOUT_MS, answer_bytes = token_reply.MOST_BYTES, ca_file = ca_file,
    },
    read = function(answer) return token_reply.read(answer, who, context.time(), { secret }) end,
  }
  if reply then return reply end
  return nil, problem_of(failure, advice.of(failure))
end

-- ---- Managed identity --------------------------------------------------------------------------

local function request_of(found)
  local query = { { 'resource', RESOURCE }, { 'client_id', found.client } }
  if found.kind == 'app_service' then
    table.insert(query, 1, { 'api-version', '2019-08-01' })
    return found.base .. '?' .. form.encode(query), { ['x-identity-header'] = found.secret }
  end
  table.insert(query, 1, { 'api-version', '2018-02-01' })
  return found.base .. '/metadata/identity/oauth2/token?' .. form.encode(query), { metadata = 'true' }
end

local function todo_of(found, failure)
  if not failure.status then return found.unnamed and NOTHING .. ', and ' .. ELSEWHERE or nil end
  if failure.status == 400 or MOVING[failure.status] then return found.client and OTHER_IDENTITY or NO_IDENTITY end
  return nil
end

local function fetch_managed(context, found)
  local url, headers = request_of(found)
  local who = 'managed identity (' .. string.match(url, '^[^?]*') .. ')'
  local is_imds = found.kind == 'imds'
  local reply, failure = token_request.send {
    who = who, passes = is_imds and imds_passes or passes,
    request = {
      url = url, headers = headers, timeout_ms = is_imds and IMDS_TIMEOUT_MS or TIMEOUT_MS, direct = true,
      answer_bytes = token_reply.MOST_BYTES,
    },
    read = function(answer) return token_reply.read(answer, who, context.time(), { found.secret }) end,
  }
  if reply then return reply end
  return nil, problem_of(failure, todo_of(found, failure))
end

-- ---- The scheme --------------------------------------------------------------------------------

local function fetch(context, ca_file)
  local found, message = plan.of(context)
  if not found then return nil, { message = message, final = true } end
  local reply, problem
  if found.tenant then
    reply, problem = fetch_application(context, found, ca_file)
  else
    reply, problem = fetch_managed(context, found)
  end
  if not reply then return nil, problem end
  return { token = reply.token }, reply.expires
end

--- Makes the source of the token. Providers with the same environment and CA file share one.
---@param provider ccrelay.Provider
---@param context ccrelay.Host
---@return ccrelay.Source
function M.source(provider, context)
  local ca_file = provider.settings.ca_file
  local found = plan.of(context) or {}
  local parts = { ca_file or '' }
  for _, name in ipairs { 'kind', 'base', 'tenant', 'client', 'secret', 'file' } do
    parts[#parts + 1] = found[name] or ''
  end
  return {
    name = 'entra:' .. sha256.hex(table.concat(parts, '\0'), 8), label = 'the Azure credentials',
    advisory_ms = ADVISORY_MS, mandatory_ms = MANDATORY_MS, fetch = function() return fetch(context, ca_file) end,
  }
end

--- Adds the token to a request. Waits for it if it must be fetched.
---@param request ccrelay.Request
---@param upstream ccrelay.Upstream
---@return boolean? ok nil if there is no token
---@return string? message why not
function M.apply(request, upstream)
  local value, message = bearer.add(request, upstream)
  return value and true or nil, message
end

M.recover = bearer.recover

--- Returns the faults and warnings of the credentials that can be found without any request.
---@param _ ccrelay.Provider
---@param context ccrelay.Host
---@return { severity: string, message: string }[]
function M.examine(_, context)
  local found, message = plan.of(context)
  if not found then return { { severity = 'fault', message = message } } end
  if found.kind == 'imds' and found.unnamed then
    return { {
      severity = 'warning',
      message = NOTHING .. ': the managed identity of this machine will be asked at the first request; ' .. ELSEWHERE,
    } }
  end
  if found.kind ~= 'workload' then return {} end
  local entries, complaint = client_credential(context, found)
  return entries and {} or { { severity = 'fault', message = complaint } }
end

return M
