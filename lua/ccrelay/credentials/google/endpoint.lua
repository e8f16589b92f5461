-- SPDX-License-Identifier: Apache-2.0
-- Asks Google's endpoints for tokens. Retries the failures that Google documents as temporary.
local token_request = require 'ccrelay.credentials.token_request'
local each = require 'ccrelay.util.each'
local form = require 'ccrelay.credentials.form'
local token_reply = require 'ccrelay.credentials.token_reply'

---@class ccrelay.GoogleJob
---@field context ccrelay.Host
---@field ca_file string?
---@field check fun(info: table, depth: integer?): string? tells what is wrong with credentials of any type
---@field fetch fun(info: table): ccrelay.TokenReply?, ccrelay.GoogleProblem?

---@class ccrelay.GoogleProblem
---@field message string
---@field final boolean? whether retrying cannot help before a person acts

---@class ccrelay.GoogleAsk
---@field url string
---@field entries table[]? a form: of { name, value }
---@field body string? JSON, in place of a form
---@field headers table<string, string>?
---@field secrets string[] texts to remove from messages
---@field shape ccrelay.TokenShape?
---@field advice table<string, string>? what to do about an error, by its name

local M = {}

M.SCOPE = 'https://www.googleapis.com/auth/cloud-platform'

local TIMEOUT_MS = 10000
local PASSING_STATUS = { [408] = true, [429] = true, [500] = true, [503] = true, [504] = true }
local PASSING_CODES = { 'internal_failure', 'server_error', 'temporarily_unavailable' }
local FINAL_CODES = { invalid_grant = true, invalid_client = true, unauthorized_client = true }

--- Tells whether a failure may pass.
---@param failure ccrelay.TokenFailure
---@return boolean
function M.passes(failure)
  if not failure.status or PASSING_STATUS[failure.status] then return true end
  for _, code in ipairs(PASSING_CODES) do
    if failure.code == code or failure.description == code then return true end
  end
  return false
end

--- Turns a failure into a problem, and adds what to do about it.
---@param failure ccrelay.TokenFailure
---@param advice table<string, string>?
---@return ccrelay.GoogleProblem
function M.problem(failure, advice)
  local todo = failure.code and advice and advice[failure.code]
  return {
    message = failure.message .. (todo and '; ' .. todo or ''), final = FINAL_CODES[failure.code or ''] or nil,
  }
end

--- Sends a POST request and reads the token of its answer. May only be called in a task.
---@param job ccrelay.GoogleJob
---@param spec ccrelay.GoogleAsk
---@return ccrelay.TokenReply? reply
---@return ccrelay.GoogleProblem? problem
function M.token(job, spec)
  local who = 'Google (' .. string.match(spec.url, '^[^?#]*') .. ')'
  local headers = { accept = 'application/json' }
  headers['content-type'] = spec.entries and form.TYPE or 'application/json'
  for name, value in each(spec.headers or {}) do headers[name] = value end
  local reply, failure = token_request.send {
    who = who, passes = M.passes,
    request = {
      url = spec.url, method = 'POST', headers = headers, timeout_ms = TIMEOUT_MS, ca_file = job.ca_file,
      body = spec.entries and form.encode(spec.entries) or spec.body, answer_bytes = token_reply.MOST_BYTES,
    },
    read = function(answer)
      return token_reply.read(answer, who, job.context.time(), spec.secrets, spec.shape)
    end,
  }
  if reply then return reply end
  return nil, M.problem(failure, spec.advice)
end

return M
