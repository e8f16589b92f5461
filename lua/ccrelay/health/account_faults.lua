-- SPDX-License-Identifier: Apache-2.0
-- Recognizes errors with a misleading status: faults of an account that a provider reports as a bad request (400), and
-- pages of a firewall (403), which say nothing about a key.
local api_error = require 'ccrelay.util.api_error'

local M = {}

---@class ccrelay.AccountFault
---@field [1] string Lua pattern for the message in lower case
---@field [2] 'spent'|'refused' the verdict
---@field [3] string the reason in the log

-- A message must begin with one of these. Its remainder may quote the request, and text from a request, such as the
-- name of an unknown beta, must not suspend a key.
---@type ccrelay.AccountFault[]
local FAULTS = {
  { '^your credit balance is too low', 'spent', 'credit balance is too low' },
  { '^credit balance is too low', 'spent', 'credit balance is too low' },
  { '^you have reached your specified [%l ]*usage limits', 'spent', 'usage limits are reached' },
  { '^this organization has been disabled', 'refused', 'organization has been disabled' },
  { '^your organization has been disabled', 'refused', 'organization has been disabled' },
}

-- "NAME: what is wrong with it" is about a member of the body, whatever that is called.
local ABOUT_A_MEMBER = ': '

local function fault_of(outcome)
  local message = string.lower(api_error.message_of(outcome.decoded, outcome.body or ''))
  if string.find(message, ABOUT_A_MEMBER, 1, true) then return nil end
  for _, fault in ipairs(FAULTS) do
    if string.find(message, fault[1]) then return fault end
  end
  return nil
end

-- Anthropic and the clouds answer API requests only with JSON.
local function is_page(outcome)
  if type(outcome.decoded) == 'table' or (outcome.body or '') == '' then return false end
  local kind = outcome.headers and outcome.headers['content-type'] or ''
  return not string.find(string.lower(kind), 'json', 1, true)
end

--- Corrects the verdict on an error by its body. A fault of the account with status 400 is retryable and suspends the
--- key; outcome.account_fault says why. A 403 that is a page of a firewall is retryable and does not suspend the key.
---@param outcome ccrelay.Outcome with status, headers, body and decoded
function M.judge(outcome)
  if outcome.status == 400 then
    local fault = fault_of(outcome)
    if not fault then return end
    outcome.retryable, outcome.verdict, outcome.account_fault = true, fault[2], fault[3]
  elseif outcome.status == 403 and is_page(outcome) then
    outcome.retryable, outcome.verdict = true, 'neutral'
  end
end

return M
