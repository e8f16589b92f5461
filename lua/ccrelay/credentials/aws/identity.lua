-- SPDX-License-Identifier: Apache-2.0
-- Web identity: a token of somebody AWS trusts, in a file that is written anew now and then, for a role.
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
---@field where string what names the file, for messages

--- What the environment says of a web identity; nil without a message when nothing.
---@param context ccrelay.Surroundings
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

--- The token, as the file holds it now.
---@param context ccrelay.Surroundings
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

--- Credentials of the role.
---@param context ccrelay.Surroundings
---@param options ccrelay.AwsOptions
---@param plan ccrelay.AwsIdentity
---@return ccrelay.AwsValue? value
---@return any expires, or what is wrong
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

--- Credentials of the web identity of the environment; nil without a message when there is none.
---@param context ccrelay.Surroundings
---@param options ccrelay.AwsOptions
---@return ccrelay.AwsValue? value
---@return any expires, or what is wrong
function M.fetch(context, options)
  local plan, message = M.plan(context)
  if not plan then return nil, message end
  return M.run(context, options, plan)
end

return M
