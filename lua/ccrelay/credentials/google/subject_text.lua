-- SPDX-License-Identifier: Apache-2.0
-- Subject tokens from a file or an address: the whole text, or a member of a JSON object.
local token_request = require 'ccrelay.credentials.token_request'
local each = require 'ccrelay.util.each'
local endpoint = require 'ccrelay.credentials.google.endpoint'
local fields = require 'ccrelay.credentials.google.fields'
local guard = require 'ccrelay.credentials.google.guard'
local json = require 'ccrelay.util.json'
local texts = require 'ccrelay.util.text'
local token_reply = require 'ccrelay.credentials.token_reply'

local M = {}

local TIMEOUT_MS = 10000

local function check_headers(headers)
  if headers == nil then return nil end
  if type(headers) ~= 'table' then return 'credential_source.headers is not an object' end
  for name, value in each(headers) do
    if type(name) ~= 'string' or not string.find(name, '^[%w_-]+$') then
      return 'credential_source.headers has a name that no header may have'
    end
    if type(value) ~= 'string' or string.find(value, '[%c\127]') then
      return 'credential_source.headers.' .. name .. ' has a value that no header may have'
    end
  end
  return nil
end

local function check_format(format)
  if format == nil then return nil end
  if type(format) ~= 'table' then return 'credential_source.format is not an object' end
  local kind = fields.any(format, 'type')
  if kind ~= nil and kind ~= 'text' and kind ~= 'json' then
    return 'credential_source.format.type is not text or json'
  end
  if kind == 'json' and not fields.text(format, 'subject_token_field_name') then
    return 'credential_source.format.subject_token_field_name is missing'
  end
  return nil
end

--- Tells what is wrong with the file, without any request; nil if nothing is.
---@param _ ccrelay.GoogleJob
---@param info table
---@return string?
function M.check(_, info)
  local source = info.credential_source
  local path, url = fields.any(source, 'file'), fields.any(source, 'url')
  if path ~= nil and url ~= nil then return 'credential_source has both file and url' end
  if path ~= nil and not fields.text(source, 'file') then return 'credential_source.file is not a path' end
  return url ~= nil and guard.subject('credential_source.url', url)
    or check_headers(fields.any(source, 'headers')) or check_format(fields.any(source, 'format'))
end

local function token_of(source, text, place)
  local format = fields.any(source, 'format') or {}
  local token = text
  if format.type == 'json' then
    local reply = json.decode(text)
    local name = format.subject_token_field_name
    if type(reply) ~= 'table' then return nil, { message = place .. ' contains no JSON object' } end
    token = fields.text(reply, name)
    if not token then return nil, { message = place .. ' has no string called ' .. name } end
  end
  token = texts.trim(token)
  if token == '' then return nil, { message = place .. ' is empty' } end
  if string.find(token, '[%c\127]') then return nil, { message = place .. ' contains a token with control bytes' } end
  return token
end

local function from_file(job, source)
  local place = 'the subject token file ' .. source.file
  local text, reason = job.context.read(source.file)
  if not text then return nil, { message = place .. ' cannot be read: ' .. reason } end
  if #text > token_reply.MOST_BYTES then
    return nil, { message = place .. ' is larger than ' .. token_reply.MOST_BYTES .. ' bytes' }
  end
  return token_of(source, text, place)
end

local function from_url(job, source)
  local headers, secrets = {}, {}
  for name, value in each(fields.any(source, 'headers') or {}) do
    headers[string.lower(name)] = value
    secrets[#secrets + 1] = value
  end
  local where = string.match(source.url, '^[^?#]*')
  local place = 'the subject token service (' .. where .. ')'
  local answer, failure = token_request.send {
    who = place, passes = endpoint.passes,
    request = {
      url = source.url, headers = headers, timeout_ms = TIMEOUT_MS, answer_bytes = token_reply.MOST_BYTES,
      direct = not string.find(source.url, '^[hH][tT][tT][pP][sS]:'), ca_file = job.ca_file,
    },
    read = function(found)
      if found.status == 200 and #found.body <= token_reply.MOST_BYTES then return found.body end
      return token_reply.object(found, place, secrets)
    end,
  }
  if not answer then return nil, { message = failure.message } end
  return token_of(source, answer, 'the answer of ' .. place)
end

--- Reads or fetches the subject token. May only be called in a task.
---@param job ccrelay.GoogleJob
---@param info table
---@return string? token
---@return ccrelay.GoogleProblem?
function M.fetch(job, info)
  local source = info.credential_source
  if fields.text(source, 'file') then return from_file(job, source) end
  return from_url(job, source)
end

return M
