-- SPDX-License-Identifier: Apache-2.0
-- The credential scheme aws: signs requests with the credentials of the default chain (aws/chain.lua), or sends an API
-- key of Bedrock as a bearer token.
local sha256 = require 'ccrelay.util.sha256'
local chain = require 'ccrelay.credentials.aws.chain'
local examine = require 'ccrelay.credentials.aws.examine'
local json = require 'ccrelay.util.json'
local keys = require 'ccrelay.credentials.aws.keys'
local skew = require 'ccrelay.credentials.aws.skew'
local cache = require 'ccrelay.credentials.cache'

local M = {}

local MINUTE = 60000
local SERVICE = 'bedrock'
local DISTINGUISHING = {
  'aws_access_key_id', 'aws_secret_access_key', 'aws_session_token', 'aws_profile', 'aws_region', 'ca_file',
}
local WITH_BEARER = { bedrock = true, ['bedrock-mantle'] = true }
local REFUSED = {
  ExpiredToken = true, ExpiredTokenException = true, UnrecognizedClientException = true,
  InvalidClientTokenId = true, InvalidToken = true,
}
local REFUSALS = {
  'security token included in the request is expired', 'security token included in the request is invalid',
}
local STATUSES = { [400] = true, [401] = true, [403] = true }

-- By upstream: the clock skew, in ms, that its last attempt was signed with.
local used = setmetatable({}, { __mode = 'k' })

local function service_of(adapter)
  return adapter and adapter.service or SERVICE
end

local function options_of(provider)
  return {
    settings = provider.settings, region = keys.filled(provider.settings.aws_region), name = provider.name,
    bearer = WITH_BEARER[service_of(provider.adapter)] or false, ca_file = provider.settings.ca_file, memory = {},
  }
end

local function name_of(provider, options)
  local parts = { tostring(options.bearer) }
  for index, key in ipairs(DISTINGUISHING) do parts[index + 1] = tostring(provider.settings[key] or '') end
  return 'aws:' .. sha256.hex(json.encode(parts), 8) .. ':' .. provider.name
end

-- Tells whether another fetch must give the same credentials: the configuration and environment of a process do not
-- change.
local function is_fixed(context, options)
  if chain.configured(options.settings) then return true end
  if chain.named(options) then return false end
  return options.bearer and keys.env(context, 'AWS_BEARER_TOKEN_BEDROCK') ~= nil
    or keys.env(context, 'AWS_ACCESS_KEY_ID') ~= nil
end

--- Makes the source of a provider's credentials.
---@param provider ccrelay.Provider
---@param context ccrelay.Host
---@return ccrelay.Source
function M.source(provider, context)
  local options = options_of(provider)
  return {
    name = name_of(provider, options), label = 'the AWS credentials of provider "' .. provider.name .. '"',
    advisory_ms = 15 * MINUTE, mandatory_ms = 10 * MINUTE, context = context, options = options,
    fixed = is_fixed(context, options),
    fetch = function() return chain.resolve(context, options) end,
  }
end

--- Signs a request, or adds the bearer token. Waits for the credentials if they must be fetched.
---@param request ccrelay.Request
---@param upstream ccrelay.Upstream
---@param adapter table
---@return boolean? ok nil if there are no credentials
---@return string? message why not
function M.apply(request, upstream, adapter)
  local provider = upstream.key.provider
  local value, message = cache.get(request.exchange, provider.source)
  if not value then return nil, message end
  if value.bearer then
    request:header('authorization', 'Bearer ' .. value.bearer)
    return true
  end
  used[upstream] = skew.read(provider.name)
  request:sign {
    access_key = value.access_key, secret_key = value.secret_key, session_token = value.session_token,
    region = provider.settings.aws_region, service = service_of(adapter), skew_ms = used[upstream],
  }
  return true
end

-- AWS writes "ExpiredTokenException:http://..." as well as "com.amazon...#ExpiredTokenException".
local function error_name(outcome)
  local decoded = type(outcome.decoded) == 'table' and outcome.decoded or {}
  local name = outcome.headers and outcome.headers['x-amzn-errortype'] or keys.filled(decoded.__type)
  return type(name) == 'string' and string.match(name, '%f[%w_]([%w_]+)%f[:%z]') or nil
end

local function words_of(outcome)
  local decoded = type(outcome.decoded) == 'table' and outcome.decoded or {}
  local words = outcome.message or decoded.message or decoded.Message
  return type(words) == 'string' and string.lower(words) or ''
end

local function is_refused(name, words)
  if REFUSED[name] then return true end
  for _, part in ipairs(REFUSALS) do
    if string.find(words, part, 1, true) then return true end
  end
  return false
end

local function is_late(name, words)
  return skew.is_suspect(name) or string.find(words, 'signature expired', 1, true) ~= nil
    or string.find(words, 'signature not yet current', 1, true) ~= nil
end

-- Voids the credentials, so that they are fetched again. Returns false if that would give the same ones.
local function renew(source, outcome)
  if source.fixed then return false end
  source.options.memory.instance = nil
  cache.void(source, outcome.attempt.credential)
  return true
end

--- Handles a failure that new credentials or a corrected clock may cure.
---@param outcome ccrelay.Outcome
---@param upstream ccrelay.Upstream
---@return boolean again whether to try the same upstream again
---@return string? why a warning for the log
function M.recover(outcome, upstream)
  if not STATUSES[outcome.status] then return false end
  local provider = upstream.key.provider
  local source = provider.source
  local name, words = error_name(outcome), words_of(outcome)
  if is_late(name, words) then
    local before = used[upstream] or skew.read(provider.name)
    if skew.learn(provider.name, outcome.headers['date'], source.context.time(), before) then
      return true, string.format('the clock of this machine is %.0f s off the clock of AWS; requests are signed with '
        .. 'the time of AWS', skew.read(provider.name) / 1000)
    end
    renew(source, outcome)
    return false
  end
  return is_refused(name, words) and renew(source, outcome)
end

--- Returns the faults and warnings of a provider's credentials that can be found without any request.
---@param provider ccrelay.Provider
---@param context ccrelay.Host
---@return ccrelay.Note[]
function M.examine(provider, context)
  return examine(context, options_of(provider))
end

return M
