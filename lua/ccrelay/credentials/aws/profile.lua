-- SPDX-License-Identifier: Apache-2.0
-- Credentials of a profile of the AWS files. It first makes a plan, without any request, through all profiles that are
-- referred to; then it follows the plan.
local lists = require 'ccrelay.util.lists'
local container = require 'ccrelay.credentials.aws.container'
local environment = require 'ccrelay.credentials.aws.environment'
local files = require 'ccrelay.credentials.aws.files'
local identity = require 'ccrelay.credentials.aws.identity'
local imds = require 'ccrelay.credentials.aws.imds'
local keys = require 'ccrelay.credentials.aws.keys'
local process = require 'ccrelay.credentials.aws.process'
local role = require 'ccrelay.credentials.aws.role'
local sso = require 'ccrelay.credentials.aws.sso'

local M = {}

local SOURCES = { Environment = environment, EcsContainer = container, Ec2InstanceMetadata = imds }
local KINDS = 'a key pair, role_arn, sso_session, credential_process or web_identity_token_file'

---@class ccrelay.AwsPlan
---@field kind 'static'|'role'|'identity'|'sso'|'process'
---@field value ccrelay.AwsValue? the credentials, of kind static
---@field plan table? details, of the other kinds
---@field from ccrelay.AwsPlan? of kind role: the plan of source_profile
---@field source string? of kind role: credential_source

local function wrong(profile, text)
  return nil, string.format('the AWS profile "%s" in %s: %s', profile.name, profile.file, text)
end

local function has_keys(profile)
  return profile.values[files.KEYS[1]] ~= nil or profile.values[files.KEYS[2]] ~= nil
end

local plan_of

local function static(_, profile)
  local names, values = files.KEYS, profile.values
  local value, why = keys.make(names, values[names[1]], values[names[2]], values[names[3]],
    'the AWS profile "' .. profile.name .. '"')
  if not value then return wrong(profile, why) end
  return { kind = 'static', value = value }
end

local function source_of(all, profile, visited)
  local name = profile.values.source_profile
  if not all.profiles[name] then
    local there = files.names(all.profiles)
    return wrong(profile, string.format('source_profile "%s" does not exist; there are: %s', name, there))
  end
  if name == profile.name and has_keys(profile) then return static(all, profile) end
  if lists.contains(visited, name) then
    return wrong(profile, 'source_profile forms a circle: ' .. table.concat(visited, ' -> ') .. ' -> ' .. name)
  end
  local plan, message = plan_of(all, name, visited)
  if plan or message then return plan, message end
  return wrong(profile, string.format('its source_profile "%s" contains no credentials: it needs %s', name, KINDS))
end

local function by_role(all, profile, visited)
  local values = profile.values
  local asked, message = role.plan(values)
  if not asked then return wrong(profile, message) end
  if values.source_profile and values.credential_source then
    return wrong(profile, 'source_profile and credential_source cannot both be set')
  end
  if values.source_profile then
    local from
    from, message = source_of(all, profile, visited)
    return from and { kind = 'role', plan = asked, from = from }, message
  end
  if not values.credential_source then return wrong(profile, 'role_arn needs source_profile or credential_source') end
  if SOURCES[values.credential_source] then
    return { kind = 'role', plan = asked, source = values.credential_source, profile = profile.name }
  end
  return wrong(profile, string.format('credential_source is "%s"; it can be %s', values.credential_source,
    files.names(SOURCES)))
end

local function by_identity(_, profile)
  local values = profile.values
  if not values.role_arn then return wrong(profile, 'web_identity_token_file needs role_arn') end
  return { kind = 'identity', plan = {
    path = values.web_identity_token_file, role = values.role_arn, session = values.role_session_name,
    region = values.region, where = 'AWS profile "' .. profile.name .. '"',
  } }
end

local function by_sso(all, profile)
  local plan, message = sso.plan(all, profile)
  return plan and { kind = 'sso', plan = plan }, message
end

local function by_process(_, profile)
  local plan, message = process.plan(profile.values.credential_process, profile.name)
  return plan and { kind = 'process', plan = plan }, message
end

local function by_login(_, profile)
  return wrong(profile, 'login_session is not supported; set credential_process to '
    .. '"aws configure export-credentials --profile NAME" in a profile of its own')
end

-- In the order of botocore. As the source of another profile, a profile gives its own keys first.
local function rows_of(profile, is_source)
  local values, paired = profile.values, has_keys(profile)
  return {
    { is_source and paired, static },
    { values.web_identity_token_file, by_identity },
    { values.role_arn, by_role },
    { values.sso_account_id or values.sso_role_name, by_sso },
    { paired and profile.keys_in == 'credentials', static },
    { values.credential_process, by_process },
    { paired, static },
    { values.login_session, by_login },
  }
end

function plan_of(all, name, visited)
  local profile = all.profiles[name]
  local further = { unpack(visited) }
  further[#further + 1] = name
  for _, row in ipairs(rows_of(profile, #visited > 0)) do
    if row[1] then return row[2](all, profile, further) end
  end
  return nil
end

--- Plans where the credentials of a profile come from, without any request; nil without a message if it has none.
---@param all ccrelay.AwsFiles
---@param name string
---@return ccrelay.AwsPlan? plan
---@return string? message
function M.plan(all, name)
  if not all.profiles[name] then return nil, files.missing(all, name) end
  return plan_of(all, name, {})
end

local runs = {
  static = function(_, _, plan) return plan.value end,
  sso = function(context, options, plan) return sso.run(context, options, plan.plan) end,
  process = function(context, _, plan) return process.run(context, plan.plan) end,
  identity = function(context, options, plan) return identity.run(context, options, plan.plan) end,
}

function runs.role(context, options, plan)
  local value, message
  if plan.from then
    value, message = M.run(context, options, plan.from)
  else
    value, message = SOURCES[plan.source].fetch(context, options)
    message = message or 'it has no credentials'
    if not value then
      return nil, string.format('credential_source %s of the AWS profile "%s": %s', plan.source, plan.profile, message)
    end
  end
  if not value then return nil, message end
  return role.run(context, options, plan.plan, value)
end

--- Fetches the credentials of a plan.
---@param context ccrelay.Host
---@param options ccrelay.AwsOptions
---@param plan ccrelay.AwsPlan
---@return ccrelay.AwsValue? value
---@return any expires wall clock in ms, nil if they do not expire; without a value: what is wrong
function M.run(context, options, plan)
  return runs[plan.kind](context, options, plan)
end

--- Returns the plan for a profile; nil without a message if the profile "default" does not exist or has no
--- credentials.
---@param context ccrelay.Host
---@param name string? AWS_PROFILE unless given, else "default"
---@return ccrelay.AwsPlan? plan
---@return string? message
function M.find(context, name)
  local wanted = name or keys.env(context, 'AWS_PROFILE')
  local all, message = files.load(context)
  if not all then return nil, message end
  if not wanted and not all.profiles.default then return nil end
  local plan
  plan, message = M.plan(all, wanted or 'default')
  if plan or message or not name then return plan, message end
  return wrong(all.profiles[name], 'it contains no credentials: it needs ' .. KINDS)
end

--- Fetches the credentials of a profile, which is chosen as in plan.
---@param context ccrelay.Host
---@param options ccrelay.AwsOptions
---@param name string?
---@return ccrelay.AwsValue? value
---@return any expires wall clock in ms, nil if they do not expire; without a value: what is wrong
function M.fetch(context, options, name)
  local plan, message = M.find(context, name)
  if not plan then return nil, message end
  return M.run(context, options, plan)
end

return M
