-- SPDX-License-Identifier: Apache-2.0
-- credential_process: runs the user's program that prints credentials. No shell is involved.
local key_object = require 'ccrelay.credentials.aws.key_object'
local redact = require 'ccrelay.log.redact'
local task = require 'ccrelay.sched.task'
local shell_words = require 'ccrelay.credentials.aws.shell_words'

local M = {}

local DEADLINE_MS, ANSWER_BYTES = 60000, 65536
local SHOWN_VERSION = 20

---@class ccrelay.AwsProcess
---@field arguments string[]
---@field profile string

--- Parses the credential_process of a profile.
---@param text string
---@param profile string
---@return ccrelay.AwsProcess? plan
---@return string? message
function M.plan(text, profile)
  local arguments, why = shell_words.split(text)
  if arguments and not arguments[1] then why = 'it names no program' end
  if text:find '%z' then why = 'it contains a NUL byte' end
  if why then return nil, string.format('credential_process of the AWS profile "%s": %s', profile, why) end
  return { arguments = arguments, profile = profile }
end

local function judge(context, result)
  if result.status ~= 0 then
    local words_of = key_object.excerpt(redact.looks(result.complaint))
    return nil, 'ended with status ' .. result.status .. (words_of ~= '' and ': ' .. words_of or ' and printed nothing')
  end
  local object = key_object.object(result.body)
  if not object then return nil, 'did not print a JSON object' end
  if object.Version ~= 1 then
    local found = object.Version == nil and 'no Version' or 'Version ' .. tostring(object.Version):sub(1, SHOWN_VERSION)
    return nil, 'printed ' .. found .. '; "Version": 1 is what is understood'
  end
  local value, more = key_object.value(object, 'SessionToken', 'credential_process')
  if not value then return nil, 'printed JSON in which ' .. more end
  if more and more <= context.time() then return nil, 'printed credentials that have expired' end
  return value, more
end

--- Runs the program and reads what it prints. No message contains the command line.
---@param context ccrelay.Host
---@param plan ccrelay.AwsProcess
---@return ccrelay.AwsValue? value
---@return any expires wall clock in ms, nil if they do not expire; without a value: what is wrong
function M.run(context, plan)
  local name = string.format('credential_process of the AWS profile "%s" ', plan.profile)
  local result, reason = task.run {
    arguments = plan.arguments, timeout_ms = DEADLINE_MS, answer_bytes = ANSWER_BYTES,
  }
  if not result then return nil, name .. 'failed: ' .. reason end
  local value, more = judge(context, result)
  if not value then return nil, name .. more end
  return value, more
end

return M
