-- SPDX-License-Identifier: Apache-2.0
-- Type service_account: a key of ours signs a statement that Google changes for a token.
--
-- The statement is meant for AUDIENCE, whatever token_uri says, and is sent to token_uri: as Google's
-- Python library does it. So a file with an older token_uri works, and a statement that reached a
-- wrong place could still be used at Google's own endpoint only.
local endpoint = require 'ccrelay.credentials.google.endpoint'
local fields = require 'ccrelay.credentials.google.fields'
local guard = require 'ccrelay.credentials.google.guard'
local json = require 'ccrelay.util.json'
local native = require 'ccrelay.credentials.google.native'

local M = {}

local AUDIENCE = 'https://oauth2.googleapis.com/token'
local GRANT = 'urn:ietf:params:oauth:grant-type:jwt-bearer'
local LIFE_S = 3600
local BAD_KEY = 'private_key is no private RSA key in PEM that can be used; make a new key of type JSON for the account'
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
