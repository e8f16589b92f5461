-- SPDX-License-Identifier: Apache-2.0
-- AWS's Security Token Service (STS): fetches temporary credentials of a role.
local date = require 'ccrelay.util.date'
local form = require 'ccrelay.credentials.form'
local keys = require 'ccrelay.credentials.aws.keys'
local region = require 'ccrelay.credentials.aws.region'
local skew = require 'ccrelay.credentials.aws.skew'
local fetch = require 'ccrelay.net.fetch'
local task = require 'ccrelay.sched.task'
local xml = require 'ccrelay.credentials.aws.xml'

local M = {}

local VERSION = '2011-06-15'
local TRIES, PAUSE_MS, TIMEOUT_MS = 3, 250, 5000
local NAMES = { 'AccessKeyId', 'SecretAccessKey', 'SessionToken' }
local PASSING = {
  Throttling = true, ThrottlingException = true, RequestLimitExceeded = true, IDPCommunicationError = true,
}
local FINAL = { AccessDenied = true, ValidationError = true }

---@class ccrelay.StsCall
---@field action string
---@field region string
---@field role string
---@field form table[] of { name, value }; false values are left out
---@field signer ccrelay.AwsValue? credentials that sign the request; it is not signed without

local function signer_of(call, used)
  local value = call.signer
  return value and {
    access_key = value.access_key, secret_key = value.secret_key, session_token = value.session_token,
    region = call.region, service = 'sts', skew_ms = used,
  }
end

local function send(context, options, call, used)
  local fields = { { 'Action', call.action }, { 'Version', VERSION }, { 'RoleArn', call.role } }
  for _, pair in ipairs(call.form) do fields[#fields + 1] = pair end
  return fetch.send {
    url = region.endpoint(context, 'AWS_ENDPOINT_URL_STS', 'sts', call.region) .. '/', method = 'POST',
    headers = { ['content-type'] = 'application/x-www-form-urlencoded; charset=utf-8', accept = 'application/xml' },
    body = form.encode(fields), timeout_ms = TIMEOUT_MS, signer = signer_of(call, used), ca_file = options.ca_file,
    env = context.env,
  }
end

local function failure(call, answer, fields)
  local code, words = fields['ErrorResponse/Error/Code'], fields['ErrorResponse/Error/Message']
  local text = string.format('STS refused %s for %s: ', call.action, call.role)
  if not code then return nil, text .. 'status ' .. answer.status .. ' without an error STS would send' end
  return code, text .. code .. (words and ': ' .. words or '')
end

-- Returns the fields of a good answer; or nil, the failure, and 'again' if it may pass or the clock was wrong.
local function judge(context, name, call, answer, used)
  local fields = xml.fields(answer.body)
  if answer.status == 200 then
    if fields then return fields end
    return nil, 'STS answered ' .. call.action .. ' with XML that cannot be read'
  end
  local code, message = failure(call, answer, fields or {})
  if skew.is_suspect(code) and skew.learn(name, answer.header 'date', context.time(), used) then
    return nil, message, 'again'
  end
  local passes = PASSING[code] or answer.status >= 500 or answer.status == 429
  return nil, FINAL[code] and { message = message, final = true } or message, passes and 'again' or nil
end

local function value_of(context, call, answer, fields, source)
  local at = call.action .. 'Response/' .. call.action .. 'Result/Credentials/'
  local value, why = keys.make(NAMES, fields[at .. NAMES[1]], fields[at .. NAMES[2]], fields[at .. NAMES[3]], source)
  local expires = date.rfc3339(fields[at .. 'Expiration'] or '')
  if value and not value.session_token then why = NAMES[3] .. ' is missing' end
  if not why and not expires then why = 'Expiration is missing or not a time' end
  if why then return nil, 'the answer of STS to ' .. call.action .. ' is incomplete: ' .. why end
  return value, skew.here(expires, answer.header 'date', context.time())
end

--- Calls STS. Tries again, three times in all, after a failure that may pass and after learning the clock skew.
---@param context ccrelay.Host
---@param options ccrelay.AwsOptions
---@param call ccrelay.StsCall
---@param source string where the credentials come from, for messages
---@return ccrelay.AwsValue? value
---@return any expires wall clock in ms, nil if they do not expire; without a value: what is wrong
function M.ask(context, options, call, source)
  local name, message = options.name or 'aws', nil
  for try = 1, TRIES do
    local used = skew.read(name)
    local answer, reason = send(context, options, call, used)
    local fields, again
    if answer then
      fields, message, again = judge(context, name, call, answer, used)
      if fields then return value_of(context, call, answer, fields, source) end
    else
      message, again = 'the request to STS for ' .. call.role .. ' failed: ' .. reason, 'again'
    end
    if not again or try == TRIES then break end
    task.sleep(PAUSE_MS * 2 ^ (try - 1))
  end
  return nil, message
end

--- Makes a name for a session that has none.
---@param context ccrelay.Host
---@return string
function M.session_name(context)
  return string.format('ccrelay-%d', context.time() / 1000)
end

return M
