-- SPDX-License-Identifier: Apache-2.0
-- Credentials of type impersonated_service_account: uses credentials of any type to act as a service account.
local each = require 'ccrelay.util.each'
local fields = require 'ccrelay.credentials.google.fields'
local guard = require 'ccrelay.credentials.google.guard'
local impersonation = require 'ccrelay.credentials.google.impersonation'

local M = {}

local DEEPEST = 8

local function check_delegates(delegates)
  if delegates == nil then return nil end
  if type(delegates) ~= 'table' then return 'delegates is not a list of service accounts' end
  for key, name in each(delegates) do
    if type(key) ~= 'number' or type(name) ~= 'string' then return 'delegates is not a list of service accounts' end
  end
  return nil
end

--- Tells what is wrong with the file, without any request; nil if nothing is.
---@param job ccrelay.GoogleJob
---@param info table
---@param depth integer
---@return string?
function M.check(job, info, depth)
  local source = info.source_credentials
  if type(source) ~= 'table' then return 'source_credentials is missing or not an object' end
  if depth >= DEEPEST then return 'source_credentials are nested more than ' .. DEEPEST .. ' deep' end
  local url = fields.any(info, 'service_account_impersonation_url')
  local message = fields.lack(info, { 'service_account_impersonation_url' })
    or guard.impersonation('service_account_impersonation_url', url) or check_delegates(fields.any(info, 'delegates'))
  if message then return message end
  message = job.check(source, depth + 1)
  return message and 'in source_credentials: ' .. message or nil
end

--- Fetches a token. May only be called in a task.
---@param job ccrelay.GoogleJob
---@param info table
---@return ccrelay.TokenReply?
---@return ccrelay.GoogleProblem?
function M.fetch(job, info)
  local source, problem = job.fetch(info.source_credentials)
  if not source then return nil, problem end
  return impersonation.token(job, source.token, info.service_account_impersonation_url, {
    delegates = fields.any(info, 'delegates'),
  })
end

return M
