-- SPDX-License-Identifier: Apache-2.0
-- Fetches the token of the attached service account from the metadata server of Google Cloud.
local address = require 'ccrelay.net.address'
local token_request = require 'ccrelay.credentials.token_request'
local endpoint = require 'ccrelay.credentials.google.endpoint'
local token_reply = require 'ccrelay.credentials.token_reply'

local M = {}

local HOST = 'metadata.google.internal'
local PATH = '/computeMetadata/v1/instance/service-accounts/default/token'
local TIMEOUT_MS = 3000
local FLAVOR = 'Google'
local NO_ACCOUNT = 'no service account is attached to this machine: attach one, or set GOOGLE_APPLICATION_CREDENTIALS'

M.NONE = 'there are no Google credentials: run `gcloud auth application-default login`, or set '
  .. 'GOOGLE_APPLICATION_CREDENTIALS to a credentials file, or run where Google Cloud attaches a service account'

--- Returns the host that GCE_METADATA_HOST names, or the usual one; nil and what is wrong with the variable.
---@param context ccrelay.Host
---@return string? host
---@return string? message
function M.host(context)
  local host = context.env 'GCE_METADATA_HOST'
  if not host or host == '' then return HOST end
  local url = address.url('http://' .. host)
  if url and url.path == '' and not string.find(host, '/', 1, true) then return host end
  return nil, 'GCE_METADATA_HOST is not a host or host:port'
end

local function failure_of(failure, host, named)
  if failure.status == 404 then
    return { message = failure.message .. '; ' .. NO_ACCOUNT }
  elseif not failure.status and not named then
    return { message = M.NONE .. ' (' .. failure.message .. ')' }
  elseif not failure.status then
    return { message = failure.message .. '; GCE_METADATA_HOST says ' .. host }
  end
  return { message = failure.message }
end

--- Fetches the token. May only be called in a task.
---@param job ccrelay.GoogleJob
---@return ccrelay.TokenReply?
---@return ccrelay.GoogleProblem?
function M.fetch(job)
  local host, message = M.host(job.context)
  if not host then return nil, { message = message, final = true } end
  local url = 'http://' .. host .. PATH
  local who = 'the metadata server (' .. url .. ')'
  local function read(answer)
    if answer.header 'metadata-flavor' ~= FLAVOR then
      return nil, { status = 200, message = who .. ' is not Google\'s: its answer has no "Metadata-Flavor: Google"' }
    end
    return token_reply.read(answer, who, job.context.time())
  end
  local reply, failure = token_request.send {
    who = who, read = read, passes = function(found) return found.status ~= nil and endpoint.passes(found) end,
    request = {
      url = url, headers = { ['metadata-flavor'] = FLAVOR }, timeout_ms = TIMEOUT_MS, direct = true,
      answer_bytes = token_reply.MOST_BYTES,
    },
  }
  if reply then return reply end
  return nil, failure_of(failure, host, host ~= HOST)
end

return M
