-- SPDX-License-Identifier: Apache-2.0
-- Credentials of type service_account: signs a JWT with the account's key, which Google exchanges for a token
-- (RFC 7523).
--
-- The JWT is sent to token_uri, but its audience is always AUDIENCE, as in Google's Python library. So a file with an
-- older token_uri works, and a JWT that reaches a wrong place can be used only at Google's own endpoint.
local endpoint = require 'ccrelay.credentials.google.endpoint'
local fields = require 'ccrelay.credentials.google.fields'
local guard = require 'ccrelay.credentials.google.guard'
local json = require 'ccrelay.util.json'
local native = require 'ccrelay.credentials.google.native'

local M = {}

local AUDIENCE = 'https://oauth2.googleapis.com/token'
local GRANT = 'urn:ietf:params:oauth:grant-type:jwt-bearer'
local LIFE_S = 3600
local BAD_KEY = 'private_key is not a usable RSA private key in PEM; make a new key of type JSON for the account'
local LOST = 'check that the service account and its key still exist (make a new key if not) '
  .. 'and that the clock of this machine is right'
local ADVICE = { invalid_grant = LOST, invalid_client = LOST }

local function assertion(info, now)
  local issued = math.floor(now / 1000)
  local header = { typ = 'JWT', alg = 'RS256', kid = fields.text(info, 'private_key_id') }
  local claims = {
    iat = issued, exp = issued + LIFE_S, iss = info.client_email, aud = AUDIENCE, scope = endpoint.SCOPE,
  }
  return native.jwt(info.private_key, json.encode(header), json.encode(claims))
end

--- Tells what is wrong with the file, without any request; nil if nothing is.
---@param job ccrelay.GoogleJob
---@param info table
---@return string?
function M.check(job, info)
  local lack = fields.lack(info, { 'client_email', 'private_key' })
  if lack then return lack end
  local uri = fields.any(info, 'token_uri')
  local refusal = uri ~= nil and guard.token('token_uri', uri) or nil
  if refusal then return refusal end
  return not assertion(info, job.context.time()) and BAD_KEY or nil
end

--- Fetches a token. May only be called in a task.
---@param job ccrelay.GoogleJob
---@param info table
---@return ccrelay.TokenReply?
---@return ccrelay.GoogleProblem?
function M.fetch(job, info)
  local statement = assertion(info, job.context.time())
  if not statement then return nil, { message = BAD_KEY, final = true } end
  return endpoint.token(job, {
    url = fields.text(info, 'token_uri') or AUDIENCE, entries = { { 'grant_type', GRANT }, { 'assertion', statement } },
    secrets = { statement, info.private_key }, advice = ADVICE,
  })
end

return M
