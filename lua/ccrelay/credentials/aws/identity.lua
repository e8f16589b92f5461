-- SPDX-License-Identifier: Apache-2.0
-- Web identity: exchanges a token, which an identity provider writes to a file and replaces now and then, for the
-- credentials of a role.
local files = require 'ccrelay.credentials.aws.files'
local keys = require 'ccrelay.credentials.aws.keys'
local region = require 'ccrelay.credentials.aws.region'
local sts = require 'ccrelay.credentials.aws.sts'

local M = {}

---@class ccrelay.AwsIdentity
---@field path string of the token's file
---@field role string
---@field session string?
---@field region string?
---@field where string the variable or profile that names the file, for messages

--- Returns the plan of the environment; nil without a message if there is nothing.
---@param context ccrelay.Host
---@return ccrelay.AwsIdentity? plan
---@return string? message
function M.plan(context)
  local path, role = keys.env(context, 'AWS_WEB_IDENTITY_TOKEN_FILE'), keys.env(context, 'AWS_ROLE_ARN')
  if not path then return nil end
  if not role then return nil, 'AWS_WEB_IDENTITY_TOKEN_FILE is set, so AWS_ROLE_ARN must name the role' end
  return {
    path = path, role = role, session = keys.env(context, 'AWS_ROLE_SESSION_NAME'),
    where = 'AWS_WEB_IDENTITY_TOKEN_FILE',
  }
end

--- Reads the token.
---@param context ccrelay.Host
---@param plan ccrelay.AwsIdentity
---@return string? token
---@return string? message
function M.token(context, plan)
  local text, reason = context.read(files.expand(context, plan.path) or plan.path)
  local about = 'the web identity token ' .. plan.path .. ' (' .. plan.where .. ') '
  if not text then return nil, about .. 'cannot be read: ' .. tostring(reason) end
  local token = keys.filled(text)
  if not token then return nil, about .. 'is empty' end
  return token
end

--- Fetches the credentials of the role from STS.
---@param context ccrelay.Host
---@param options ccrelay.AwsOptions
---@param plan ccrelay.AwsIdentity
---@return ccrelay.AwsValue? value
---@return any expires wall clock in ms, nil if they do not expire; without a value: what is wrong
function M.run(context, options, plan)
  local token, message = M.token(context, plan)
  if not token then return nil, message end
  local where
  where, message = region.choose(context, options, plan.region)
  if not where then return nil, message end
  return sts.ask(context, options, {
    action = 'AssumeRoleWithWebIdentity', region = where, role = plan.role,
    form = { { 'RoleSessionName', plan.session or sts.session_name(context) }, { 'WebIdentityToken', token } },
  }, 'web identity')
end

--- Fetches the credentials for the web identity of the environment; nil without a message if there is none.
---@param context ccrelay.Host
---@param options ccrelay.AwsOptions
---@return ccrelay.AwsValue? value
---@return any expires wall clock in ms, nil if they do not expire; without a value: what is wrong
function M.fetch(context, options)
  local plan, message = M.plan(context)
  if not plan then return nil, message end
  return M.run(context, options, plan)
end

return M
