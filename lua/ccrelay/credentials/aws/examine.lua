-- SPDX-License-Identifier: Apache-2.0
-- Finds faults and warnings of a provider's AWS credentials without any request.
local chain = require 'ccrelay.credentials.aws.chain'
local container = require 'ccrelay.credentials.aws.container'
local environment = require 'ccrelay.credentials.aws.environment'
local files = require 'ccrelay.credentials.aws.files'
local identity = require 'ccrelay.credentials.aws.identity'
local imds = require 'ccrelay.credentials.aws.imds'
local keys = require 'ccrelay.credentials.aws.keys'
local profile = require 'ccrelay.credentials.aws.profile'
local region = require 'ccrelay.credentials.aws.region'
local sso = require 'ccrelay.credentials.aws.sso'

---@class ccrelay.Note
---@field severity 'fault'|'warning'
---@field message string

local function warn(notes, message)
  if message then notes[#notes + 1] = { severity = 'warning', message = message } end
  return true
end

local function blame(notes, message)
  notes[#notes + 1] = { severity = 'fault', message = message }
  return true
end

local function look_at_token(context, plan, notes)
  local _, message = identity.token(context, plan)
  return warn(notes, message)
end

local looks = {
  static = function() return true end,
  process = function() return true end,
  sso = function(context, plan, notes) return warn(notes, sso.complaint(context, plan.plan)) end,
  identity = function(context, plan, notes) return look_at_token(context, plan.plan, notes) end,
}

-- Checks a credential_source of a role without any request.
local visible = { Environment = environment.fetch, EcsContainer = container.url }

function looks.role(context, plan, notes)
  if plan.from then return looks[plan.from.kind](context, plan.from, notes) end
  if not visible[plan.source] then return true end
  local found, message = visible[plan.source](context)
  if found then return true end
  return warn(notes, string.format('credential_source %s of the AWS profile "%s": %s', plan.source, plan.profile,
    message or 'it has no credentials'))
end

local function of_profile(context, notes, name)
  local plan, message = profile.find(context, name)
  if message then return blame(notes, message) end
  return plan ~= nil and looks[plan.kind](context, plan, notes)
end

-- Returns true if the source is set up, faulty or not: the chain ends there.
local function either(notes, value, message)
  if message then return blame(notes, message) end
  return value ~= nil
end

local function of_identity(context, notes)
  local plan, message = identity.plan(context)
  if message then return blame(notes, message) end
  return plan ~= nil and look_at_token(context, plan, notes)
end

local function of_nothing(context, notes)
  local all = files.load(context)
  local text = chain.NOTHING
  if all then text = string.format('%s (%s, %s)', text, all.config, all.credentials) end
  for _, complaint in ipairs(all and all.complaints or {}) do text = text .. '; ' .. complaint end
  local base, message = imds.base(context)
  if not base then return warn(notes, text .. '; ' .. message) end
  return warn(notes, text .. '; the container or instance role will be asked at the first request')
end

local function follow(context, options, notes)
  if either(notes, chain.configured(options.settings)) then return end
  local name = chain.named(options)
  if name then return of_profile(context, notes, name) end
  if options.bearer and either(notes, environment.bearer(context)) then return end
  if either(notes, environment.fetch(context)) or of_profile(context, notes) then return end
  if of_identity(context, notes) or either(notes, container.url(context)) then return end
  of_nothing(context, notes)
end

--- Returns faults and warnings; each says what to do.
---@param context ccrelay.Host
---@param options ccrelay.AwsOptions
---@return ccrelay.Note[]
return function(context, options)
  local notes, name = {}, keys.filled(options.region)
  if not name then
    blame(notes, 'aws_region is missing; it is the name of an AWS region, ' .. region.EXAMPLES)
  elseif not region.fits(name) then
    blame(notes, string.format('aws_region is "%s", which is not an AWS region; it is a name %s', tostring(name),
      region.EXAMPLES))
  end
  follow(context, options, notes)
  return notes
end
