-- SPDX-License-Identifier: Apache-2.0
-- AssumeRole as profiles ask for it: credentials of a role for other credentials.
local region = require 'ccrelay.credentials.aws.region'
local sts = require 'ccrelay.credentials.aws.sts'

local M = {}

local SHORTEST, LONGEST = 900, 43200

---@class ccrelay.AwsRole
---@field role string
---@field session string?
---@field external_id string?
---@field duration integer?
---@field region string?

local function lack(values)
  local duration, session = values.duration_seconds, values.role_session_name
  local seconds = duration and string.find(duration, '^%d+$') and tonumber(duration)
  if duration and (not seconds or seconds < SHORTEST or seconds > LONGEST) then
    return string.format('duration_seconds must be a whole number from %d to %d', SHORTEST, LONGEST)
  end
  if session and (#session < 2 or #session > 64 or string.find(session, '[^%w+=,.@_-]')) then
    return 'role_session_name takes 2 to 64 letters, digits and any of +=,.@_-'
  end
  if values.mfa_serial then
    return 'mfa_serial asks for a code that only a person can give; use SSO or credential_process instead'
  end
  return nil
end

--- Reads the settings of a profile for its role.
---@param values table<string, string>
---@return ccrelay.AwsRole? plan
---@return string? message
function M.plan(values)
  local message = lack(values)
  if message then return nil, message end
  return {
    role = values.role_arn, session = values.role_session_name, external_id = values.external_id,
    duration = tonumber(values.duration_seconds), region = values.region,
  }
end

--- Fetches the credentials of the role from STS.
---@param context ccrelay.Host
---@param options ccrelay.AwsOptions
---@param plan ccrelay.AwsRole
---@param signer ccrelay.AwsValue
---@return ccrelay.AwsValue? value
---@return any expires wall clock in ms, nil if they do not expire; without a value: what is wrong
function M.run(context, options, plan, signer)
  local where, message = region.choose(context, options, plan.region)
  if not where then return nil, message end
  return sts.ask(context, options, {
    action = 'AssumeRole', region = where, role = plan.role, signer = signer,
    form = {
      { 'RoleSessionName', plan.session or sts.session_name(context) }, { 'ExternalId', plan.external_id or false },
      { 'DurationSeconds', plan.duration or false },
    },
  }, plan.role)
end

return M
