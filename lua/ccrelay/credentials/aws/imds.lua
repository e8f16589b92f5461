-- SPDX-License-Identifier: Apache-2.0
-- Fetches credentials and the region from the metadata service of EC2 instances: by version 2, or by version 1 if the
-- service has no other.
local address = require 'ccrelay.net.address'
local key_object = require 'ccrelay.credentials.aws.key_object'
local keys = require 'ccrelay.credentials.aws.keys'
local random = require 'ccrelay.util.random'
local region = require 'ccrelay.credentials.aws.region'
local fetch = require 'ccrelay.net.fetch'

local M = {}

local BASE, BASE_6 = 'http://169.254.169.254', 'http://[fd00:ec2::254]'
local TOKEN_PATH, TOKEN_LIFE = '/latest/api/token', '21600'
local ROLES = '/latest/meta-data/iam/security-credentials/'
local REGION, ZONE = '/latest/meta-data/placement/region', '/latest/meta-data/placement/availability-zone'
local TIMEOUT_MS = 1000
local WITHOUT_TOKEN = { [403] = true, [404] = true, [405] = true }
local MINUTE = 60000
local ADVISORY = 15 * MINUTE

--- Returns the address of the service, or nil and why it must not be asked.
---@param context ccrelay.Host
---@return string? base
---@return string? message
function M.base(context)
  if keys.is_on(context, 'AWS_EC2_METADATA_DISABLED') then
    return nil, 'the instance metadata service is switched off by AWS_EC2_METADATA_DISABLED'
  end
  local mode = string.lower(keys.env(context, 'AWS_EC2_METADATA_SERVICE_ENDPOINT_MODE') or 'ipv4')
  local given_base = keys.env(context, 'AWS_EC2_METADATA_SERVICE_ENDPOINT')
  if not given_base then return mode == 'ipv6' and BASE_6 or BASE end
  if address.url(given_base) then return (string.gsub(given_base, '/+$', '')) end
  return nil, 'AWS_EC2_METADATA_SERVICE_ENDPOINT is not an http or https address'
end

local function ask(base, method, path, headers)
  return fetch.send { url = base .. path, method = method, headers = headers, timeout_ms = TIMEOUT_MS, direct = true }
end

local function without_token(context, why)
  if not keys.is_on(context, 'AWS_EC2_METADATA_V1_DISABLED') then return {} end
  return nil, 'gave no token (' .. why .. '), and version 1 is switched off by AWS_EC2_METADATA_V1_DISABLED'
end

-- Returns the headers for all further requests.
local function session(context, base)
  local answer, reason = ask(base, 'PUT', TOKEN_PATH, { ['x-aws-ec2-metadata-token-ttl-seconds'] = TOKEN_LIFE })
  if not answer then return without_token(context, reason) end
  if WITHOUT_TOKEN[answer.status] then return without_token(context, 'status ' .. answer.status) end
  if answer.status ~= 200 then return nil, 'answered the request for a token with status ' .. answer.status end
  local token = keys.filled(answer.body)
  if not token or keys.unfit(token) then return nil, 'answered with a token that no header can carry' end
  return { ['x-aws-ec2-metadata-token'] = token }
end

local function get(base, path, headers)
  local answer, reason = ask(base, 'GET', path, headers)
  if not answer then return nil, 'did not answer: ' .. reason end
  if answer.status ~= 200 then return nil, 'answered ' .. path .. ' with status ' .. answer.status, answer.status end
  local text = keys.filled(answer.body)
  if not text then return nil, 'answered ' .. path .. ' with nothing' end
  return text
end

local function role_of(base, headers)
  local text, message, status = get(base, ROLES, headers)
  if status == 404 then return nil, 'has no role for this instance; attach an instance profile' end
  if not text then return nil, message end
  local role = string.match(text, '^[^\r\n]+')
  local fits = string.find(role, '^[%w+=,.@_-]+$') ~= nil
  if not fits then return nil, 'answered with something that is not the name of a role' end
  return role
end

local function read(context, base)
  local headers, message = session(context, base)
  if not headers then return nil, message end
  local role, text
  role, message = role_of(base, headers)
  if not role then return nil, message end
  text, message = get(base, ROLES .. role, headers)
  if not text then return nil, message end
  local object = key_object.object(text)
  if not object then return nil, 'answered with something that is not a JSON object' end
  if object.Code ~= nil and object.Code ~= 'Success' then
    local words = keys.filled(object.Message)
    return nil, 'refuses: ' .. key_object.excerpt(object.Code) .. (words and ': ' .. key_object.excerpt(words) or '')
  end
  local value, more = key_object.value(object, 'Token', 'the role of the instance')
  if not value then return nil, 'answered with JSON in which ' .. more end
  if not more then return nil, 'answered with JSON in which Expiration is missing' end
  return value, more
end

-- If the service gives credentials that have expired, they are used, as AWS may still accept them. The next try comes
-- in 10 to 20 minutes.
local function lengthen(context, expires)
  local now = context.time()
  if expires > now + MINUTE then return expires end
  return now + ADVISORY + 10 * MINUTE + math.floor(random.fraction() * 10 * MINUTE)
end

--- Fetches the credentials of the instance's role. options.memory keeps them, so that they are used on if they have
--- expired and the service is down.
---@param context ccrelay.Host
---@param options ccrelay.AwsOptions?
---@return ccrelay.AwsValue? value
---@return any expires wall clock in ms, nil if they do not expire; without a value: what is wrong
function M.fetch(context, options)
  local base, message = M.base(context)
  if not base then return nil, message end
  local memory = options and options.memory or {}
  local value, more = read(context, base)
  if value then
    memory.instance = { value = value, expires = more }
    return value, lengthen(context, more)
  end
  local last = memory.instance
  if last and last.expires <= context.time() + MINUTE then return last.value, lengthen(context, last.expires) end
  return nil, 'the instance metadata service at ' .. base .. ' ' .. more
end

--- Returns the region of the instance.
---@param context ccrelay.Host
---@return string? region
---@return string? message
function M.region(context)
  local base, message = M.base(context)
  if not base then return nil, message end
  local name = 'the instance metadata service at ' .. base .. ' '
  local headers, text
  headers, message = session(context, base)
  if not headers then return nil, name .. message end
  text = get(base, REGION, headers)
  if not text then text, message = get(base, ZONE, headers) end
  if not text then return nil, name .. message end
  text = string.gsub(text, '%l$', '')
  if not region.fits(text) then return nil, name .. 'answered with something that is not a region' end
  return text
end

return M
