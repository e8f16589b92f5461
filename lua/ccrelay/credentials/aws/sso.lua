-- SPDX-License-Identifier: Apache-2.0
-- IAM Identity Center (SSO): exchanges the token that "aws sso login" left in a file for the credentials of a role, and
-- renews the token.
local C = require 'ccrelay.c'
local sha256 = require 'ccrelay.util.sha256'
local date = require 'ccrelay.util.date'
local each = require 'ccrelay.util.each'
local ffi = require 'ffi'
local files = require 'ccrelay.credentials.aws.files'
local form = require 'ccrelay.credentials.form'
local key_object = require 'ccrelay.credentials.aws.key_object'
local json = require 'ccrelay.util.json'
local keys = require 'ccrelay.credentials.aws.keys'
local region = require 'ccrelay.credentials.aws.region'
local skew = require 'ccrelay.credentials.aws.skew'
local fetch = require 'ccrelay.net.fetch'

local M = {}

local FOLDER = '~/.aws/sso/cache/'
local AHEAD_MS, TIMEOUT_MS = 15 * 60000, 5000
local LONGEST_LIFE, LATEST = 2 ^ 31, 2 ^ 52 -- a number that is none (NaN) is within no bounds
local NAMES = { 'accessKeyId', 'secretAccessKey', 'sessionToken' }
local NEEDED = { 'sso_account_id', 'sso_role_name', 'sso_region', 'sso_start_url' }
local REFRESHING = { 'refreshToken', 'clientId', 'clientSecret', 'registrationExpiresAt' }

---@class ccrelay.AwsSso
---@field profile string
---@field account string
---@field role string
---@field region string
---@field start_url string
---@field session string? the name of the sso-session section

local MOST_BYTES = 12 * 1024
local bytes, version = ffi.new('char[?]', MOST_BYTES), ffi.new 'uint32_t[1]'
local digest = ffi.new 'uint8_t[20]'

-- ---- The profile -------------------------------------------------------------------------------

local function settings_of(all, profile)
  local name, settings = profile.values.sso_session, {}
  for key, value in each(profile.values) do settings[key] = value end
  if not name then return settings end
  local section = all.sessions[name]
  if not section then
    return nil, string.format('sso_session "%s" has no section [sso-session %s] in %s; there are: %s', name, name,
      all.config, files.names(all.sessions))
  end
  for key, value in each(section) do
    if settings[key] and settings[key] ~= value then
      return nil, string.format('%s differs between the profile and [sso-session %s]', key, name)
    end
    settings[key] = value
  end
  return settings
end

local function lack(settings)
  for _, key in ipairs(NEEDED) do
    if not settings[key] then return key .. ' is missing' end
  end
  if not region.fits(settings.sso_region) then return 'sso_region is not an AWS region, ' .. region.EXAMPLES end
  return nil
end

--- Reads the settings of a profile for SSO; nil without a message if there is nothing.
---@param all ccrelay.AwsFiles
---@param profile ccrelay.AwsProfile
---@return ccrelay.AwsSso? plan
---@return string? message
function M.plan(all, profile)
  if not profile.values.sso_account_id and not profile.values.sso_role_name then return nil end
  local settings, message = settings_of(all, profile)
  message = message or lack(settings)
  if message then return nil, string.format('the AWS profile "%s" in %s: %s', profile.name, profile.file, message) end
  return {
    profile = profile.name, account = settings.sso_account_id, role = settings.sso_role_name,
    region = settings.sso_region, start_url = settings.sso_start_url, session = profile.values.sso_session,
  }
end

-- ---- The token ---------------------------------------------------------------------------------

local function login(plan)
  local name = string.find(plan.profile, '^[%w._@/-]+$') and plan.profile or "'" .. plan.profile .. "'"
  return 'run: aws sso login --profile ' .. name
end

local function path_of(context, plan)
  local key = plan.session or plan.start_url
  C.cc_sha1(key, #key, digest)
  local name = {}
  for index = 0, 19 do name[index + 1] = string.format('%02x', digest[index]) end
  return files.expand(context, FOLDER .. table.concat(name) .. '.json')
end

-- Refreshed tokens, by the path of the file that the first one came from: in memory only, shared by all workers.
local function place_of(path)
  local name = 'aws-sso:' .. sha256.hex(path, 16)
  return C.cc_secret(name, #name)
end

local function refreshed(path)
  local size = C.cc_secret_read(place_of(path), bytes, MOST_BYTES, version)
  return size > 0 and json.decode(ffi.string(bytes, size)) or nil
end

local function remember(path, token, expires)
  local text = json.encode(token)
  C.cc_secret_write(place_of(path), text, #text, expires)
end

-- Older tools end the time with "UTC".
local function time_of(text)
  return type(text) == 'string' and date.rfc3339((string.gsub(text, 'UTC$', 'Z'))) or nil
end

local function is_whole(token)
  return token and type(token.accessToken) == 'string' and not keys.unfit(token.accessToken)
    and time_of(token.expiresAt) ~= nil
end

-- Returns the token, expired or not.
local function load(context, plan)
  local path = path_of(context, plan)
  if not path then return nil, 'HOME is not set, so the tokens of "aws sso login" cannot be found' end
  local about = string.format('the AWS profile "%s" needs an SSO session, but ', plan.profile)
  local text, reason = context.read(path)
  if not text then
    if files.is_absent(reason) then return nil, about .. 'there is none; ' .. login(plan) end
    return nil, about .. path .. ' cannot be read: ' .. tostring(reason)
  end
  local token = key_object.object(text)
  if not is_whole(token) then return nil, about .. path .. ' holds no usable token; ' .. login(plan) end
  local newer = refreshed(path)
  if newer and time_of(newer.expiresAt) > time_of(token.expiresAt) then token = newer end
  return token, path
end

local function can_refresh(context, plan, token)
  if not plan.session then return false end
  for _, key in ipairs(REFRESHING) do
    if type(token[key]) ~= 'string' then return false end
  end
  local ending = time_of(token.registrationExpiresAt)
  return ending ~= nil and ending > context.time()
end

local function expired(plan)
  return string.format('the SSO session of the AWS profile "%s" has expired; %s', plan.profile, login(plan))
end

--- Tells what is wrong with the token of a profile without any request; nil if nothing is.
---@param context ccrelay.Host
---@param plan ccrelay.AwsSso
---@return string?
function M.complaint(context, plan)
  local token, message = load(context, plan)
  if not token then return message end
  if time_of(token.expiresAt) > context.time() or can_refresh(context, plan, token) then return nil end
  return expired(plan)
end

-- Returns what to keep of the answer to a refresh; nil if it is of no use.
local function renewed(context, token, answer)
  local object = answer.status == 200 and key_object.object(answer.body)
  local life = object and tonumber(object.expiresIn)
  if not life or not (life > 0 and life < LONGEST_LIFE) then return nil end
  if type(object.accessToken) ~= 'string' or keys.unfit(object.accessToken) then return nil end
  return {
    accessToken = object.accessToken, expiresAt = os.date('!%Y-%m-%dT%H:%M:%SZ', context.time() / 1000 + life),
    refreshToken = keys.filled(object.refreshToken) or token.refreshToken, clientId = token.clientId,
    clientSecret = token.clientSecret, registrationExpiresAt = token.registrationExpiresAt,
  }
end

local function refresh(context, options, plan, token, path)
  local answer, reason = fetch.send {
    url = region.endpoint(context, 'AWS_ENDPOINT_URL_SSO_OIDC', 'oidc', plan.region) .. '/token', method = 'POST',
    headers = { ['content-type'] = 'application/json', accept = 'application/json' },
    body = json.encode {
      clientId = token.clientId, clientSecret = token.clientSecret, refreshToken = token.refreshToken,
      grantType = 'refresh_token',
    },
    timeout_ms = TIMEOUT_MS, ca_file = options.ca_file, env = context.env,
  }
  if not answer then return nil, 'the SSO session could not be renewed: ' .. reason end
  if answer.status >= 500 or answer.status == 429 then
    return nil, 'the SSO session could not be renewed: status ' .. answer.status
  end
  local newer = renewed(context, token, answer)
  if newer then remember(path, newer, time_of(newer.expiresAt)) end
  return newer
end

local function token_of(context, options, plan)
  local token, path = load(context, plan)
  if not token then return nil, path end
  local left = time_of(token.expiresAt) - context.time()
  if left > AHEAD_MS then return token.accessToken end
  local newer, message
  if can_refresh(context, plan, token) then newer, message = refresh(context, options, plan, token, path) end
  if newer then return newer.accessToken end
  if left > 0 then return token.accessToken end
  return nil, message or expired(plan)
end

-- ---- The credentials ---------------------------------------------------------------------------

local function refusal(plan, answer)
  if answer.status == 401 then return expired(plan) end
  local object = key_object.object(answer.body) or {}
  local words = key_object.excerpt(keys.filled(object.message) or keys.filled(object.Message) or '')
  return string.format('SSO gave no credentials for role %s in account %s: status %d%s', plan.role, plan.account,
    answer.status, words ~= '' and ': ' .. words or '')
end

local function value_of(context, answer)
  local object = key_object.object(answer.body)
  local found = object and object.roleCredentials
  if type(found) ~= 'table' then return nil, 'SSO answered without roleCredentials' end
  local value, why = keys.make(NAMES, found.accessKeyId, found.secretAccessKey, found.sessionToken, 'SSO')
  if not value then return nil, 'SSO answered with credentials in which ' .. why end
  local expires = tonumber(found.expiration)
  if not expires or not (expires > 0 and expires < LATEST) then
    return nil, 'SSO answered with credentials without expiration'
  end
  return value, skew.here(expires, answer.header 'date', context.time())
end

--- Fetches the credentials of the profile's role.
---@param context ccrelay.Host
---@param options ccrelay.AwsOptions
---@param plan ccrelay.AwsSso
---@return ccrelay.AwsValue? value
---@return any expires wall clock in ms, nil if they do not expire; without a value: what is wrong
function M.run(context, options, plan)
  local token, message = token_of(context, options, plan)
  if not token then return nil, message end
  local query = form.encode { { 'role_name', plan.role }, { 'account_id', plan.account } }
  local answer, reason = fetch.send {
    url = region.endpoint(context, 'AWS_ENDPOINT_URL_SSO', 'portal.sso', plan.region) .. '/federation/credentials?'
      .. query,
    headers = { ['x-amz-sso_bearer_token'] = token, accept = 'application/json' }, timeout_ms = TIMEOUT_MS,
    ca_file = options.ca_file, env = context.env,
  }
  if not answer then return nil, 'the request to SSO for credentials failed: ' .. reason end
  if answer.status ~= 200 then return nil, refusal(plan, answer) end
  return value_of(context, answer)
end

return M
