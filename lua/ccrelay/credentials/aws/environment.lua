-- SPDX-License-Identifier: Apache-2.0
-- Reads AWS credentials from environment variables.
local keys = require 'ccrelay.credentials.aws.keys'

local M = {}

local NAMES = { 'AWS_ACCESS_KEY_ID', 'AWS_SECRET_ACCESS_KEY', 'AWS_SESSION_TOKEN' }
local BEARER = 'AWS_BEARER_TOKEN_BEDROCK'

--- Returns the key pair of the environment; nil without a message if there is none.
---@param context ccrelay.Host
---@return ccrelay.AwsValue? value
---@return string? message
function M.fetch(context)
  local id, secret = keys.env(context, NAMES[1]), keys.env(context, NAMES[2])
  if not id and not secret then return nil end
  local value, why = keys.make(NAMES, id, secret, keys.env(context, NAMES[3]), 'the environment')
  if value then return value end
  return nil, why .. ' in the environment; ' .. NAMES[1] .. ' and ' .. NAMES[2] .. ' go together: set or unset both'
end

--- Returns the API key of Bedrock in the environment; nil without a message if there is none.
---@param context ccrelay.Host
---@return ccrelay.AwsValue? value
---@return string? message
function M.bearer(context)
  local token = keys.env(context, BEARER)
  if not token then return nil end
  local why = keys.unfit(token)
  if why then return nil, BEARER .. ' ' .. why end
  return { bearer = token, source = BEARER }
end

return M
