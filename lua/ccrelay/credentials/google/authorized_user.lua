-- SPDX-License-Identifier: Apache-2.0
-- Credentials of type authorized_user: the refresh token that `gcloud auth application-default login` stores.
local endpoint = require 'ccrelay.credentials.google.endpoint'
local fields = require 'ccrelay.credentials.google.fields'
local guard = require 'ccrelay.credentials.google.guard'

local M = {}

local TOKEN_URI = 'https://oauth2.googleapis.com/token'
local LOGIN = 'the login has ended or was revoked: run `gcloud auth application-default login`'
local ADVICE = { invalid_grant = LOGIN, invalid_client = LOGIN, unauthorized_client = LOGIN }

--- Tells what is wrong with the file, without any request; nil if nothing is.
---@param _ ccrelay.GoogleJob
---@param info table
---@return string?
function M.check(_, info)
  local lack = fields.lack(info, { 'client_id', 'client_secret', 'refresh_token' })
  if lack then return lack .. ': run `gcloud auth application-default login`' end
  local uri = fields.any(info, 'token_uri')
  return uri ~= nil and guard.token('token_uri', uri) or nil
end

--- Fetches a token. May only be called in a task.
---@param job ccrelay.GoogleJob
---@param info table
---@return ccrelay.TokenReply?
---@return ccrelay.GoogleProblem?
function M.fetch(job, info)
  return endpoint.token(job, {
    url = fields.text(info, 'token_uri') or TOKEN_URI,
    entries = {
      { 'grant_type', 'refresh_token' }, { 'client_id', info.client_id }, { 'client_secret', info.client_secret },
      { 'refresh_token', info.refresh_token }, { 'rapt', fields.text(info, 'rapt_token') },
    },
    secrets = fields.secrets(info, { 'client_secret', 'refresh_token', 'rapt_token' }), advice = ADVICE,
  })
end

return M
