-- SPDX-License-Identifier: Apache-2.0
-- Credentials of type external_account_authorized_user: a login through a workforce pool, which gcloud stored.
local endpoint = require 'ccrelay.credentials.google.endpoint'
local external_account = require 'ccrelay.credentials.google.external_account'
local fields = require 'ccrelay.credentials.google.fields'

local M = {}

local TOKEN_URL = 'https://sts.googleapis.com/v1/oauthtoken'
local LOGIN = 'the login has ended or was revoked: run `gcloud auth application-default login` again'
local ADVICE = { invalid_grant = LOGIN, invalid_client = LOGIN, unauthorized_client = LOGIN }

--- Tells what is wrong with the file, without any request; nil if nothing is.
---@param _ ccrelay.GoogleJob
---@param info table
---@return string?
function M.check(_, info)
  return fields.lack(info, { 'client_id', 'client_secret', 'refresh_token' }) or external_account.check_urls(info)
end

--- Fetches a token. May only be called in a task.
---@param job ccrelay.GoogleJob
---@param info table
---@return ccrelay.TokenReply?
---@return ccrelay.GoogleProblem?
function M.fetch(job, info)
  local headers = external_account.client(info)
  local secrets = fields.secrets(info, { 'client_secret', 'refresh_token' })
  secrets[#secrets + 1] = headers.authorization
  local reply, problem = endpoint.token(job, {
    url = fields.text(info, 'token_url') or TOKEN_URL, headers = headers, secrets = secrets, advice = ADVICE,
    entries = { { 'grant_type', 'refresh_token' }, { 'refresh_token', info.refresh_token } },
  })
  if not reply then return nil, problem end
  return external_account.finish(job, info, reply)
end

return M
