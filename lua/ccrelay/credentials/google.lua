-- SPDX-License-Identifier: Apache-2.0
-- The credential scheme google: a bearer token from Google's application default credentials, which are a credentials
-- file, the login of gcloud, or the metadata server, in this order.
local bearer = require 'ccrelay.credentials.bearer'
local sha256 = require 'ccrelay.util.sha256'
local fields = require 'ccrelay.credentials.google.fields'
local file = require 'ccrelay.credentials.google.file'
local metadata = require 'ccrelay.credentials.google.metadata'

local M = {}

local ADVISORY_MS, MANDATORY_MS = 225000, 10000
local UNIVERSE = 'googleapis.com'
local REGION = '^%l+%-%l+%d%d?$'
local WIDE_REGIONS = { global = true, us = true, eu = true }
local TYPES = {
  'service_account', 'authorized_user', 'impersonated_service_account', 'external_account',
  'external_account_authorized_user',
}

local kinds = {}
for _, name in ipairs(TYPES) do kinds[name] = require('ccrelay.credentials.google.' .. name) end

-- ---- Files -------------------------------------------------------------------------------------

local function check_type(info)
  if kinds[info.type] then return nil end
  local what = type(info.type) == 'string' and 'type "' .. string.sub(info.type, 1, 64) .. '" is not supported'
  if not what and (info.installed or info.web) then what = 'it contains an OAuth client, not credentials' end
  return (what or 'type is missing') .. '; supported are ' .. table.concat(TYPES, ', ')
end

local function check_universe(info)
  local universe = fields.any(info, 'universe_domain')
  if universe == nil or universe == UNIVERSE then return nil end
  return 'universe_domain is not ' .. UNIVERSE .. ', the only one that is supported'
end

local function check_project(info)
  local project = fields.any(info, 'quota_project_id')
  if project == nil or type(project) == 'string' and string.find(project, '^[%w:._-]+$') then return nil end
  return 'quota_project_id is not the name of a project'
end

local function new_job(context, ca_file)
  local job = { context = context, ca_file = ca_file }
  function job.check(info, depth)
    return check_type(info) or check_universe(info) or check_project(info)
      or kinds[info.type].check(job, info, depth or 0)
  end
  function job.fetch(info) return kinds[info.type].fetch(job, info) end
  return job
end

-- Returns the credentials file, checked; nil without a message if there is none.
local function find(job)
  local found, message = file.find(job.context)
  if not found then return nil, message end
  local wrong = job.check(found.info)
  if wrong then return nil, found.label .. ', which cannot be used: ' .. wrong .. '; ' .. found.remedy end
  return found
end

-- ---- The scheme --------------------------------------------------------------------------------

local function quota_project(context, info)
  local named = context.env 'GOOGLE_CLOUD_QUOTA_PROJECT'
  if named and string.find(named, '^[%w:._-]+$') then return named end
  return info and fields.text(info, 'quota_project_id')
end

local function fetch(job)
  local found, message = find(job)
  if message then return nil, { message = message, final = true } end
  local reply, problem
  if found then
    reply, problem = job.fetch(found.info)
  else
    reply, problem = metadata.fetch(job)
  end
  if not reply then return nil, problem end
  return { token = reply.token, quota_project = quota_project(job.context, found and found.info) }, reply.expires
end

-- The name depends on the path and the contents of the file, so a changed file is another source.
local function name_of(context, ca_file)
  local found = file.find(context)
  local parts = { ca_file or '' }
  parts[2], parts[3] = found and found.path or 'metadata', found and found.text or metadata.host(context) or ''
  for _, name in ipairs { 'GOOGLE_APPLICATION_CREDENTIALS', 'CLOUDSDK_CONFIG', 'HOME', 'GOOGLE_CLOUD_QUOTA_PROJECT' } do
    parts[#parts + 1] = context.env(name) or ''
  end
  return 'google:' .. sha256.hex(table.concat(parts, '\0'), 8)
end

--- Makes the source of the token. Providers with the same credentials and CA file share one.
---@param provider ccrelay.Provider
---@param context ccrelay.Host
---@return ccrelay.Source
function M.source(provider, context)
  local ca_file = provider.settings.ca_file
  local job = new_job(context, ca_file)
  return {
    name = name_of(context, ca_file), label = 'the Google credentials', advisory_ms = ADVISORY_MS,
    mandatory_ms = MANDATORY_MS, fetch = function() return fetch(job) end,
  }
end

--- Adds the token and the project that is billed to a request. Waits for the token if it must be fetched.
---@param request ccrelay.Request
---@param upstream ccrelay.Upstream
---@return boolean? ok nil if there is no token
---@return string? message why not
function M.apply(request, upstream)
  local value, message = bearer.add(request, upstream)
  if not value then return nil, message end
  -- Overwrites the client's header, as a client must not choose the project that is billed.
  request:header('x-goog-user-project', type(value.quota_project) == 'string' and value.quota_project or '')
  return true
end

M.recover = bearer.recover

local function check_region(region)
  if type(region) ~= 'string' or WIDE_REGIONS[region] or string.find(region, REGION) then return nil end
  return 'gcp_region "' .. region .. '" is not a region: global, us, eu, or one like us-east5 or europe-west1'
end

--- Returns the faults and warnings of the credentials that can be found without any request.
---@param provider ccrelay.Provider
---@param context ccrelay.Host
---@return { severity: string, message: string }[]
function M.examine(provider, context)
  local notes = {}
  local function add(severity, message)
    if message then notes[#notes + 1] = { severity = severity, message = message } end
  end
  add('fault', check_region(provider.settings.gcp_region))
  local found, message = find(new_job(context, provider.settings.ca_file))
  add('fault', message)
  if found or message then return notes end
  local _, wrong = metadata.host(context)
  add('fault', wrong)
  local named = context.env 'GCE_METADATA_HOST'
  if not named or named == '' then
    add('warning', metadata.NONE .. '; the metadata server of Google Cloud will be asked at the first request')
  end
  return notes
end

return M
