-- SPDX-License-Identifier: Apache-2.0
-- AWS: requests signed with the credentials of the default chain, or an API key of Bedrock as a bearer.
local cell = require 'ccrelay.shared.cell'
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

-- The skew that the attempts of an upstream were signed with.
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
  return 'aws:' .. cell.digest(json.encode(parts), 8) .. ':' .. provider.name
end

-- Whether asking again must bring the same: what the process was started with does not change.
local function is_fixed(context, options)
  if chain.configured(options.settings) then return true end
  if chain.named(options) then return false end
  return options.bearer and keys.env(context, 'AWS_BEARER_TOKEN_BEDROCK') ~= nil
    or keys.env(context, 'AWS_ACCESS_KEY_ID') ~= nil
end

--- Where the provider's credentials come from.
---@param provider ccrelay.Provider
---@param context ccrelay.Surroundings
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

--- Has a request signed, or adds the bearer.
---@param request ccrelay.Request
---@param upstream ccrelay.Upstream
---@param adapter table
---@return boolean? ok nil with a message when there are no credentials
---@return string? message
function M.apply(request, upstream, adapter)
  local provider = upstream.slot.provider
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

-- "ExpiredTokenException:http://..." and "com.amazon...#ExpiredTokenException" are both written.
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

-- False when that could bring nothing new.
local function renew(source, outcome)
  if source.fixed then return false end
  source.options.memory.instance = nil
  cache.void(source, outcome.holder.credential)
  return true
end

--- Whether a failure is one of credentials that asking again may cure, or of a clock that is off.
---@param outcome ccrelay.Outcome
---@param upstream ccrelay.Upstream
---@return boolean again
---@return string? why worth a warning
function M.recover(outcome, upstream)
  if not STATUSES[outcome.status] then return false end
  local provider = upstream.slot.provider
  local source = provider.source
  local name, words = error_name(outcome), words_of(outcome)
  if is_late(name, words) then
    local before = used[upstream] or skew.read(provider.name)
    if skew.learn(provider.name, outcome.headers['date'], source.context.time(), before) then
      return true, string.format('the clock of this machine is %.0f s off that of AWS; signatures follow theirs',
        skew.read(provider.name) / 1000)
    end
    renew(source, outcome)
    return false
  end
  return is_refused(name, words) and renew(source, outcome)
end

--- Faults and warnings of the provider's credentials, as far as nobody need be asked.
---@param provider ccrelay.Provider
---@param context ccrelay.Surroundings
---@return ccrelay.Note[]
function M.examine(provider, context)
  return examine(context, options_of(provider))
end

return M
