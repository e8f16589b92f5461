-- SPDX-License-Identifier: Apache-2.0
-- AWS regions: checks their names, and returns the addresses of services in them.
local keys = require 'ccrelay.credentials.aws.keys'

local M = {}

M.EXAMPLES = 'such as us-east-1, eu-central-1 or us-gov-west-1'

local DOMAINS = {
  { '^cn%-', 'amazonaws.com.cn' }, { '^us%-iso%-', 'c2s.ic.gov' }, { '^us%-isob%-', 'sc2s.sgov.gov' },
  { '^us%-isof%-', 'csp.hci.ic.gov' }, { '^eu%-isoe%-', 'cloud.adc-e.uk' }, { '^eusc%-', 'amazonaws.eu' },
}

--- Tells whether a text has the form of a region's name.
---@param text any
---@return boolean
function M.fits(text)
  return type(text) == 'string' and #text < 40 and string.find(text, '^%l+%-%l[%l-]*%l%-%d%d?$') ~= nil
end

--- Returns the domain of a region's services.
---@param name string
---@return string
function M.domain(name)
  for _, row in ipairs(DOMAINS) do
    if string.find(name, row[1]) then return row[2] end
  end
  return 'amazonaws.com'
end

--- Returns the address of a service in a region, or the one that an environment variable gives.
---@param context ccrelay.Host
---@param variable string
---@param service string
---@param name string
---@return string
function M.endpoint(context, variable, service, name)
  local given = keys.env(context, variable)
  if given then return (string.gsub(given, '/+$', '')) end
  return 'https://' .. service .. '.' .. name .. '.' .. M.domain(name)
end

--- Chooses the region of STS: the profile's, else the environment's, else the provider's.
---@param context ccrelay.Host
---@param options ccrelay.AwsOptions
---@param of_profile string?
---@return string? name
---@return string? message
function M.choose(context, options, of_profile)
  local name = of_profile or keys.env(context, 'AWS_REGION') or keys.env(context, 'AWS_DEFAULT_REGION')
    or options.region
  if not name then return nil, 'no region to ask STS in: set region in the profile, or AWS_REGION' end
  if not M.fits(name) then return nil, '"' .. name .. '" is not an AWS region, ' .. M.EXAMPLES end
  return name
end

return M
