-- SPDX-License-Identifier: Apache-2.0
-- Finds AWS credentials in the order of the AWS SDKs: configuration, bearer token, environment, files, web identity,
-- container, instance. A source that is set up but faulty ends the search with its error.
local container = require 'ccrelay.credentials.aws.container'
local environment = require 'ccrelay.credentials.aws.environment'
local identity = require 'ccrelay.credentials.aws.identity'
local imds = require 'ccrelay.credentials.aws.imds'
local keys = require 'ccrelay.credentials.aws.keys'
local profile = require 'ccrelay.credentials.aws.profile'

local M = {}

local NAMES = { 'aws_access_key_id', 'aws_secret_access_key', 'aws_session_token' }

M.NOTHING = 'no AWS credentials in the configuration (aws_access_key_id, aws_profile), the environment '
  .. '(AWS_ACCESS_KEY_ID, AWS_BEARER_TOKEN_BEDROCK, AWS_WEB_IDENTITY_TOKEN_FILE) and the AWS files'

--- Returns the key pair of the configuration; nil without a message if there is none.
---@param settings table?
---@return ccrelay.AwsValue? value
---@return string? message
function M.configured(settings)
  local id = settings and keys.filled(settings[NAMES[1]])
  local secret = settings and keys.filled(settings[NAMES[2]])
  if not id and not secret then return nil end
  local value, why = keys.make(NAMES, id, secret, keys.filled(settings[NAMES[3]]), 'the configuration')
  if value then return value end
  return nil, why .. ' in the configuration; ' .. NAMES[1] .. ' and ' .. NAMES[2] .. ' go together'
end

local function named(options)
  return keys.filled(options.profile) or options.settings and keys.filled(options.settings.aws_profile) or nil
end

M.named = named

local steps = {
  function(_, options) return M.configured(options.settings) end,
  function(context, options)
    local name = named(options)
    if name then return profile.fetch(context, options, name) end
  end,
  function(context, options)
    if options.bearer then return environment.bearer(context) end
  end,
  environment.fetch,
  profile.fetch,
  identity.fetch,
  container.fetch,
  function(context, options)
    local value, more = imds.fetch(context, options)
    if value then return value, more end
    return nil, M.NOTHING .. '; ' .. tostring(more)
  end,
}

--- Finds AWS credentials. May only be called in a task, as it may send requests.
---@param context ccrelay.Host
---@param options ccrelay.AwsOptions
---@return ccrelay.AwsValue? value
---@return any expires wall clock in ms, nil if they do not expire; without a value: what is wrong
function M.resolve(context, options)
  for _, step in ipairs(steps) do
    local value, more = step(context, options)
    if value or more then return value, more end
  end
end

return M
