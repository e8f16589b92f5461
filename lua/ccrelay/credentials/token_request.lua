-- SPDX-License-Identifier: Apache-2.0
-- Sends the request for a token. If it fails in a way that may pass, it sends it again after 1 s and after 2 s.
local random = require 'ccrelay.util.random'
local fetch = require 'ccrelay.net.fetch'
local task = require 'ccrelay.sched.task'
local token_reply = require 'ccrelay.credentials.token_reply'

---@class ccrelay.TokenRequest
---@field who string names the service in messages
---@field request ccrelay.FetchSpec
---@field read fun(answer: ccrelay.Fetched): any, ccrelay.TokenFailure?
---@field passes fun(failure: ccrelay.TokenFailure): boolean tells whether the failure may pass

local M = {}

local PAUSES_MS = { 1000, 2000 }
local JITTER = 0.1

--- Sends a request for a token, up to three times. May only be called in a task, as it waits.
---@param spec ccrelay.TokenRequest
---@return any value what spec.read made of the answer; nil on failure
---@return ccrelay.TokenFailure? failure the last one
function M.send(spec)
  local tries = 0
  while true do
    local answer, words = fetch.send(spec.request)
    local value, failure
    if answer then
      value, failure = spec.read(answer)
      if value ~= nil then return value end
    else
      failure = { message = spec.who .. ' cannot be reached: ' .. token_reply.words(words) }
    end
    tries = tries + 1
    if not PAUSES_MS[tries] or not spec.passes(failure) then return nil, failure end
    task.sleep(PAUSES_MS[tries] * (1 - JITTER + 2 * JITTER * random.fraction()))
  end
end

return M
