-- SPDX-License-Identifier: Apache-2.0
-- Fetches credentials from the endpoint that ECS, EKS and others give to a container.
local address = require 'ccrelay.net.address'
local key_object = require 'ccrelay.credentials.aws.key_object'
local keys = require 'ccrelay.credentials.aws.keys'
local fetch = require 'ccrelay.net.fetch'
local task = require 'ccrelay.sched.task'

local M = {}

local RELATIVE, FULL = 'AWS_CONTAINER_CREDENTIALS_RELATIVE_URI', 'AWS_CONTAINER_CREDENTIALS_FULL_URI'
local TOKEN, TOKEN_FILE = 'AWS_CONTAINER_AUTHORIZATION_TOKEN', 'AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE'
local HOST = 'http://169.254.170.2'
local ALLOWED = { ['169.254.170.2'] = true, ['169.254.170.23'] = true, localhost = true }
local OF_EKS = address.ipv6 'fd00:ec2::23'
local TRIES, TIMEOUT_MS, PAUSE_MS = 3, 2000, 1000

local function is_eks(host)
  local groups = address.ipv6(host)
  for place, group in ipairs(OF_EKS) do
    if not groups or groups[place] ~= group then return false end
  end
  return true
end

local function may_be_plain(host)
  return ALLOWED[string.lower(host)] or address.reach(host) == 'loopback' or is_eks(host)
end

--- Returns the address of the container's credentials; nil without a message if it has none.
---@param context ccrelay.Host
---@return string? url
---@return string? message
function M.url(context)
  local path, full = keys.env(context, RELATIVE), keys.env(context, FULL)
  if path then
    if string.find(path, '^/[^%s%c#]*$') and not string.find(path, '^//') then return HOST .. path end
    return nil, RELATIVE .. ' must be a path that begins with one "/"'
  end
  if not full then return nil end
  local url = address.url((string.match(full, '^([^?]*)')))
  if not url or string.find(full, '[%s%c#]') then return nil, FULL .. ' is not an http or https address' end
  if url.scheme == 'http' and not may_be_plain(url.host) then
    return nil, FULL .. ' must be https, or http to a loopback address, 169.254.170.2, 169.254.170.23 or '
      .. 'fd00:ec2::23, not to ' .. url.host
  end
  return full
end

local function token_of(context)
  local path = keys.env(context, TOKEN_FILE)
  local token, reason
  if path then
    token, reason = context.read(path)
    if not token then return nil, TOKEN_FILE .. ': ' .. path .. ' cannot be read: ' .. tostring(reason) end
  else
    token = context.env(TOKEN)
  end
  if not keys.filled(token) then return nil end
  if string.find(token, '[\r\n%z]') then
    return nil, (path and TOKEN_FILE .. ': ' .. path or TOKEN) .. ' contains a line break, which no header can carry'
  end
  return token
end

local function judge(context, answer)
  if answer.status ~= 200 then
    local object = key_object.object(answer.body) or {}
    local words = key_object.excerpt(keys.filled(object.message) or keys.filled(object.Message) or '')
    return nil, 'answered status ' .. answer.status .. (words ~= '' and ': ' .. words or ''),
      answer.status >= 500 or answer.status == 429
  end
  local object = key_object.object(answer.body)
  if not object then return nil, 'answered with something that is not a JSON object', true end
  local value, more = key_object.value(object, 'Token', 'the container')
  if not value then return nil, 'answered with JSON in which ' .. more end
  if more and more <= context.time() then return nil, 'answered with credentials that have expired', true end
  return value, more
end

--- Fetches the container's credentials; nil without a message if it has none.
---@param context ccrelay.Host
---@return ccrelay.AwsValue? value
---@return any expires wall clock in ms, nil if they do not expire; without a value: what is wrong
function M.fetch(context)
  local url, message = M.url(context)
  if not url then return nil, message end
  local name = 'the container endpoint ' .. string.match(url, '^[^?]*') .. ' '
  for try = 1, TRIES do
    local token, wrong = token_of(context)
    if wrong then return nil, wrong end
    local answer, reason = fetch.send {
      url = url, headers = { accept = 'application/json', authorization = token }, timeout_ms = TIMEOUT_MS,
      direct = true,
    }
    local value, more, again = nil, 'did not answer: ' .. tostring(reason), true
    if answer then value, more, again = judge(context, answer) end
    if value then return value, more end
    message = name .. more
    if not again then break end
    if try < TRIES then task.sleep(PAUSE_MS) end
  end
  return nil, message
end

return M
