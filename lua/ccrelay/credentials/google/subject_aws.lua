-- SPDX-License-Identifier: Apache-2.0
-- Subject tokens on AWS: a signed GetCallerIdentity request, which Google sends to STS to learn who asks.
local token_request = require 'ccrelay.credentials.token_request'
local endpoint = require 'ccrelay.credentials.google.endpoint'
local fields = require 'ccrelay.credentials.google.fields'
local form = require 'ccrelay.credentials.form'
local guard = require 'ccrelay.credentials.google.guard'
local json = require 'ccrelay.util.json'
local native = require 'ccrelay.credentials.google.native'
local texts = require 'ccrelay.util.text'
local token_reply = require 'ccrelay.credentials.token_reply'

local M = {}

local TIMEOUT_MS = 5000
local SESSION_SECONDS = '300'
local METADATA = 'the metadata service of AWS'

--- Tells what is wrong with the file, without any request; nil if nothing is.
---@param _ ccrelay.GoogleJob
---@param info table
---@return string?
function M.check(_, info)
  local source = info.credential_source
  local version = string.match(tostring(source.environment_id), '^aws(%d+)$')
  if version ~= '1' then return 'credential_source.environment_id is not aws1, the one form that is supported' end
  local lack = fields.lack(source, { 'regional_cred_verification_url' })
  if lack then return 'credential_source.' .. lack end
  for _, name in ipairs { 'region_url', 'url', 'imdsv2_session_token_url' } do
    local url = fields.any(source, name)
    local refusal = url ~= nil and guard.subject('credential_source.' .. name, url)
    if refusal then return refusal end
  end
  local address = string.gsub(source.regional_cred_verification_url, '{region}', 'us-east-1')
  return guard.aws('credential_source.regional_cred_verification_url', address)
end

local function variable(job, name)
  local value = job.context.env(name)
  return value ~= '' and value or nil
end

local function metadata(job, url, method, headers)
  local where = METADATA .. ' (' .. string.match(url, '^[^?#]*') .. ')'
  local text, failure = token_request.send {
    who = where, passes = endpoint.passes,
    request = {
      url = url, method = method, headers = headers, timeout_ms = TIMEOUT_MS, answer_bytes = token_reply.MOST_BYTES,
      direct = not string.find(url, '^[hH][tT][tT][pP][sS]:'), ca_file = job.ca_file,
    },
    read = function(answer)
      local body = answer.status == 200 and texts.trim(answer.body)
      if body == '' then return nil, { status = 200, message = where .. ' answered with nothing' } end
      if body then return body end
      return token_reply.object(answer, where)
    end,
  }
  if text then return text end
  return nil, { message = failure.message }
end

-- Returns the headers for requests to the metadata service, with a session token if the file names an address for it.
local function session(job, source)
  local url = fields.text(source, 'imdsv2_session_token_url')
  if not url then return {} end
  local token, problem = metadata(job, url, 'PUT', { ['x-aws-ec2-metadata-token-ttl-seconds'] = SESSION_SECONDS })
  if not token then return nil, problem end
  if not token_reply.is_token(token) then
    return nil, { message = METADATA .. ' gave a session token with bytes no token may have' }
  end
  return { ['x-aws-ec2-metadata-token'] = token }
end

local function region_of(job, source, headers)
  local named = variable(job, 'AWS_REGION') or variable(job, 'AWS_DEFAULT_REGION')
  local region = named
  if not named then
    local url = fields.text(source, 'region_url')
    if not url then
      return nil, { message = 'the AWS region is unknown: set AWS_REGION (credential_source has no region_url)' }
    end
    local zone, problem = metadata(job, url, 'GET', headers)
    if not zone then return nil, problem end
    region = string.sub(zone, 1, -2)
  end
  if string.find(region, '^%l%l[%l-]*%-%d+$') then return region end
  return nil, { message = (named and 'AWS_REGION' or METADATA) .. ' names something that is not an AWS region' }
end

local function keys_of_environment(job)
  local id, secret = variable(job, 'AWS_ACCESS_KEY_ID'), variable(job, 'AWS_SECRET_ACCESS_KEY')
  if not id or not secret then return nil end
  return { access_key = id, secret_key = secret, session_token = variable(job, 'AWS_SESSION_TOKEN') }
end

local function keys_of_metadata(job, source, headers)
  local url = fields.text(source, 'url')
  if not url then
    return nil, {
      message = 'there are no AWS keys: set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY (credential_source has no url)',
    }
  end
  local role, problem = metadata(job, url, 'GET', headers)
  if not role then return nil, problem end
  local text
  text, problem = metadata(job, url .. '/' .. form.escape(role), 'GET', headers)
  if not text then return nil, problem end
  local reply = json.decode(text)
  local lack = type(reply) ~= 'table' and 'is not a JSON object'
    or fields.lack(reply, { 'AccessKeyId', 'SecretAccessKey' })
  if lack then return nil, { message = METADATA .. ' gave no keys for the role: the answer: ' .. lack } end
  return {
    access_key = reply.AccessKeyId, secret_key = reply.SecretAccessKey, session_token = fields.text(reply, 'Token'),
  }
end

local function signed(job, info, keys, region)
  local url = string.gsub(info.credential_source.regional_cred_verification_url, '{region}', region)
  local host, path, query = string.match(url, '^%a+://([^/?]+)(/?[^?]*)(.*)$')
  local target = (path == '' and '/' or path) .. query
  local headers = native.signature(keys, region, job.context.time(), 'POST', host, target)
  if not headers then return nil, { message = 'the AWS keys cannot sign: they contain bytes that no key may have' } end
  local list = json.array { { key = 'host', value = host } }
  for _, header in ipairs(headers) do list[#list + 1] = { key = header[1], value = header[2] } end
  list[#list + 1] = { key = 'x-goog-cloud-target-resource', value = info.audience }
  table.sort(list, function(a, b) return string.lower(a.key) < string.lower(b.key) end)
  return form.escape(json.encode { url = url, method = 'POST', headers = list })
end

--- Makes the subject token. May only be called in a task.
---@param job ccrelay.GoogleJob
---@param info table
---@return string? token
---@return ccrelay.GoogleProblem?
function M.fetch(job, info)
  local source, headers = info.credential_source, {}
  local region, problem
  local keys = keys_of_environment(job)
  local has_region = variable(job, 'AWS_REGION') or variable(job, 'AWS_DEFAULT_REGION')
  if not keys or not has_region then
    headers, problem = session(job, source)
    if not headers then return nil, problem end
  end
  region, problem = region_of(job, source, headers)
  if not region then return nil, problem end
  if not keys then
    keys, problem = keys_of_metadata(job, source, headers)
    if not keys then return nil, problem end
  end
  return signed(job, info, keys, region)
end

return M
