-- SPDX-License-Identifier: Apache-2.0
-- Credentials of type external_account: exchanges the token of another identity provider at Google's Security Token
-- Service.
local endpoint = require 'ccrelay.credentials.google.endpoint'
local fields = require 'ccrelay.credentials.google.fields'
local guard = require 'ccrelay.credentials.google.guard'
local impersonation = require 'ccrelay.credentials.google.impersonation'
local json = require 'ccrelay.util.json'
local native = require 'ccrelay.credentials.google.native'

local M = {}

local TOKEN_URL = 'https://sts.googleapis.com/v1/token'
local GRANT = 'urn:ietf:params:oauth:grant-type:token-exchange'
local TOKEN_TYPE = 'urn:ietf:params:oauth:token-type:access_token'
local WORKFORCE = '^//iam%.googleapis%.com/locations/[^/]+/workforcePools/[^/]+/providers/[^/]+$'
local SHORTEST_S, LONGEST_S = 600, 43200
local REFUSED = 'the provider in audience does not accept the subject token: check its issuer, audience and expiry'
local ADVICE = { invalid_grant = REFUSED, invalid_client = 'check client_id and client_secret' }

local sources = {
  text = require 'ccrelay.credentials.google.subject_text',
  executable = require 'ccrelay.credentials.google.subject_executable',
  aws = require 'ccrelay.credentials.google.subject_aws',
}

local function source_of(info)
  local source = info.credential_source
  if type(source) ~= 'table' then return nil, 'credential_source is missing or not an object' end
  local function has(name) return fields.any(source, name) ~= nil end
  if has 'environment_id' then return sources.aws end
  if has 'executable' then return sources.executable end
  if has 'file' or has 'url' then return sources.text end
  if has 'certificate' then
    return nil, 'credential_source.certificate is not supported: use file, url, executable or aws1'
  end
  return nil, 'credential_source has none of file, url, executable, environment_id'
end

local function check_life(info)
  local options = fields.any(info, 'service_account_impersonation')
  if options == nil then return nil end
  local seconds = type(options) == 'table' and fields.any(options, 'token_lifetime_seconds')
  if seconds == nil then return nil end
  local whole = type(seconds) == 'number' and seconds % 1 == 0
  if whole and seconds >= SHORTEST_S and seconds <= LONGEST_S then return nil end
  return 'service_account_impersonation.token_lifetime_seconds must be a whole number from 600 to 43200'
end

local function check_workforce(info)
  local project = fields.any(info, 'workforce_pool_user_project')
  if project == nil then return nil end
  if not fields.text(info, 'workforce_pool_user_project') then return 'workforce_pool_user_project is not a string' end
  return not string.find(info.audience, WORKFORCE)
    and 'workforce_pool_user_project is for an audience in a workforce pool only' or nil
end

--- Tells what is wrong with the members that all external accounts have; nil if nothing is.
---@param info table
---@return string?
function M.check_urls(info)
  local url, target = fields.any(info, 'token_url'), fields.any(info, 'service_account_impersonation_url')
  return url ~= nil and guard.service('token_url', url, 'sts')
    or target ~= nil and guard.impersonation('service_account_impersonation_url', target)
    or check_life(info)
end

--- Tells what is wrong with the file, without any request; nil if nothing is.
---@param job ccrelay.GoogleJob
---@param info table
---@return string?
function M.check(job, info)
  local lack = fields.lack(info, { 'audience', 'subject_token_type' })
  if lack then return lack end
  local message = M.check_urls(info) or check_workforce(info)
  if message then return message end
  local source, complaint = source_of(info)
  if not source then return complaint end
  return source.check(job, info)
end

--- Returns the header with the client's id and secret, if the file names a client.
---@param info table
---@return table<string, string>
function M.client(info)
  local id = fields.text(info, 'client_id')
  return id and { authorization = native.basic(id, fields.text(info, 'client_secret') or '') } or {}
end

--- Returns the token, or exchanges it for one of the service account that the file names.
---@param job ccrelay.GoogleJob
---@param info table
---@param reply ccrelay.TokenReply
---@return ccrelay.TokenReply?
---@return ccrelay.GoogleProblem?
function M.finish(job, info, reply)
  local url = fields.text(info, 'service_account_impersonation_url')
  if not url then return reply end
  local options = fields.any(info, 'service_account_impersonation') or {}
  return impersonation.token(job, reply.token, url, { seconds = fields.any(options, 'token_lifetime_seconds') })
end

--- Fetches a token. May only be called in a task.
---@param job ccrelay.GoogleJob
---@param info table
---@return ccrelay.TokenReply?
---@return ccrelay.GoogleProblem?
function M.fetch(job, info)
  local token, problem = source_of(info).fetch(job, info)
  if not token then return nil, problem end
  local headers = M.client(info)
  local project = not headers.authorization and fields.text(info, 'workforce_pool_user_project')
  local secrets = fields.secrets(info, { 'client_secret' })
  secrets[#secrets + 1], secrets[#secrets + 2] = token, headers.authorization
  local reply
  reply, problem = endpoint.token(job, {
    url = fields.text(info, 'token_url') or TOKEN_URL, headers = headers, secrets = secrets, advice = ADVICE,
    entries = {
      { 'grant_type', GRANT }, { 'audience', info.audience }, { 'scope', endpoint.SCOPE },
      { 'requested_token_type', TOKEN_TYPE }, { 'subject_token', token },
      { 'subject_token_type', info.subject_token_type },
      { 'options', project and json.encode { userProject = project } },
    },
  })
  if not reply then return nil, problem end
  return M.finish(job, info, reply)
end

return M
