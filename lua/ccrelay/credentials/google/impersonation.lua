-- SPDX-License-Identifier: Apache-2.0
-- Exchanges a token for one of another service account (IAM Service Account Credentials API).
local endpoint = require 'ccrelay.credentials.google.endpoint'
local json = require 'ccrelay.util.json'

local M = {}

local LIFE_S = 3600
local ADVICE = {
  PERMISSION_DENIED = 'the source credentials need the role roles/iam.serviceAccountTokenCreator on that account',
  NOT_FOUND = 'check the name of the account in service_account_impersonation_url',
}

--- Exchanges a token for one of the service account that the address names.
---@param job ccrelay.GoogleJob
---@param token string
---@param url string
---@param options { delegates: string[]?, seconds: integer? }
---@return ccrelay.TokenReply?
---@return ccrelay.GoogleProblem?
function M.token(job, token, url, options)
  local body = { scope = json.array { endpoint.SCOPE }, lifetime = (options.seconds or LIFE_S) .. 's' }
  if options.delegates and #options.delegates > 0 then body.delegates = json.array(options.delegates) end
  return endpoint.token(job, {
    url = url, body = json.encode(body), headers = { authorization = 'Bearer ' .. token }, secrets = { token },
    shape = { token = 'accessToken', time = 'expireTime' }, advice = ADVICE,
  })
end

return M
