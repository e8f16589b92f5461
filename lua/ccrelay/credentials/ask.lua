-- SPDX-License-Identifier: Apache-2.0
-- Asking a service for a token: the same request again after a pause while the failure may pass.
local random = require 'ccrelay.util.random'
local task = require 'ccrelay.sched.task'
local token_reply = require 'ccrelay.credentials.token_reply'

---@class ccrelay.Ask
---@field who string for messages
---@field request ccrelay.FetchSpec
---@field read fun(answer: ccrelay.Fetched): any, ccrelay.TokenFailure?
---@field passes fun(failure: ccrelay.TokenFailure): boolean whether the failure may pass

local M = {}

local PAUSES_MS = { 1000, 2000 }
local JITTER = 0.1

--- What the answer was read as; or nil and the last failure. Within a task only.
---@param ask ccrelay.Ask
---@return any value
---@return ccrelay.TokenFailure? failure
function M.patiently(ask)
  local tries = 0
  while true do
    local answer, words = task.fetch(ask.request)
    local value, failure
    if answer then
      value, failure = ask.read(answer)
      if value ~= nil then return value end
    else
      failure = { message = ask.who .. ' cannot be asked: ' .. token_reply.words(words) }
    end
    tries = tries + 1
    if not PAUSES_MS[tries] or not ask.passes(failure) then return nil, failure end
    task.sleep(PAUSES_MS[tries] * (1 - JITTER + 2 * JITTER * random.fraction()))
  end
end

return M
