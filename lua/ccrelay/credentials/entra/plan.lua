-- SPDX-License-Identifier: Apache-2.0
-- Chooses how to get a token from the environment variables: client secret, workload identity, or managed identity of
-- App Service or of the machine (IMDS).
local address = require 'ccrelay.net.address'

---@class ccrelay.EntraPlan
---@field kind 'secret'|'workload'|'app_service'|'imds'
---@field tenant string?
---@field client string? client id of an application or of a user-assigned identity
---@field secret string?
---@field file string? path of the federated token
---@field base string address of the authority or endpoint, without a slash at its end

local M = {}

local AUTHORITY = 'https://login.microsoftonline.com'
local IMDS = 'http://169.254.169.254'

local function variable(context, name)
  local value = context.env(name)
  return value ~= '' and value or nil
end

local function base_of(name, text, loopback_only)
  if not string.find(text, '://', 1, true) then text = 'https://' .. text end
  local url = address.url(text)
  if not url then return nil, name .. ' is not an http or https address' end
  local near = url.host == 'localhost' or address.reach(url.host) == 'loopback'
  if loopback_only and url.scheme ~= 'https' and not near then
    return nil, name .. ' must be https: the secret would travel in the clear'
  end
  return (string.gsub(text, '/+$', ''))
end

local function application(context, kind, named, fields)
  for _, entry in ipairs { { 'tenant', 'AZURE_TENANT_ID' }, { 'client', 'AZURE_CLIENT_ID' } } do
    local value = variable(context, entry[2])
    if not value then return nil, named .. ' is set, but ' .. entry[2] .. ' is not: set it too, or unset ' .. named end
    if not string.find(value, '^[%w._-]+$') then return nil, entry[2] .. ' is not an id or name' end
    fields[entry[1]] = value
  end
  local base, message = base_of('AZURE_AUTHORITY_HOST', variable(context, 'AZURE_AUTHORITY_HOST') or AUTHORITY, true)
  if not base then return nil, message end
  fields.kind, fields.base = kind, base
  return fields
end

local function app_service(context, endpoint, header)
  if endpoint and header then
    local base, message = base_of('IDENTITY_ENDPOINT', endpoint)
    if not base then return nil, message end
    if string.find(header, '[%c\127]') then return nil, 'IDENTITY_HEADER contains bytes that no header may have' end
    return { kind = 'app_service', base = base, secret = header, client = variable(context, 'AZURE_CLIENT_ID') }
  end
  local set, lacks = 'IDENTITY_ENDPOINT', 'IDENTITY_HEADER'
  if header then set, lacks = lacks, set end
  local arc = variable(context, 'IMDS_ENDPOINT') and ' (managed identity of Azure Arc is not supported)' or ''
  return nil, set .. ' is set, but ' .. lacks .. ' is not: set it too, or unset ' .. set .. arc
end

local function imds(context, host)
  local base, message = base_of('AZURE_POD_IDENTITY_AUTHORITY_HOST', host or IMDS)
  if not base then return nil, message end
  return { kind = 'imds', base = base, client = variable(context, 'AZURE_CLIENT_ID'), unnamed = not host }
end

--- Returns the plan that the environment asks for; or nil and what is wrong with the environment.
---@param context ccrelay.Host
---@return ccrelay.EntraPlan?
---@return string? message
function M.of(context)
  local secret, file = variable(context, 'AZURE_CLIENT_SECRET'), variable(context, 'AZURE_FEDERATED_TOKEN_FILE')
  if secret then return application(context, 'secret', 'AZURE_CLIENT_SECRET', { secret = secret }) end
  if file then return application(context, 'workload', 'AZURE_FEDERATED_TOKEN_FILE', { file = file }) end
  local endpoint, header = variable(context, 'IDENTITY_ENDPOINT'), variable(context, 'IDENTITY_HEADER')
  if endpoint or header then return app_service(context, endpoint, header) end
  local host = variable(context, 'AZURE_POD_IDENTITY_AUTHORITY_HOST')
  if variable(context, 'AZURE_TENANT_ID') and not host then
    return nil, 'AZURE_TENANT_ID is set, but AZURE_CLIENT_SECRET is not: set it or AZURE_FEDERATED_TOKEN_FILE, '
      .. 'or unset AZURE_TENANT_ID to use managed identity'
  end
  return imds(context, host)
end

return M
