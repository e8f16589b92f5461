-- SPDX-License-Identifier: Apache-2.0
-- Splits the messages of other modules into what is wrong and what to do.
local fault = require 'ccrelay.util.fault'

local M = {}

-- Pairs of a message and its cure, for messages that do not name one.
local CURES = {
  { '^skipped because the variable (%S+) is not set', 'set %s where the relay starts, or remove this entry' },
  { 'the variable (%S+) is not set', 'set %s where the relay starts' },
  { 'the file of (%S+) cannot be used', 'make the file of %s readable for the relay' },
  { 'there is no such file', 'correct the path, or create the file' },
  { 'write variables as', 'write it as ${NAME} and set that variable' },
  { '^accepted for compatibility', 'remove it' },
  { '^aws_region', 'write the AWS region of your models, such as us-east-1' },
  { '^gcp_region', 'write the region of your models, such as us-east5, or global' },
  { 'only http proxies are supported', 'set it to the address of an HTTP proxy, such as http://proxy:3128' },
  { 'is not the address of an http proxy', 'set it to the address of an HTTP proxy, such as http://proxy:3128' },
  { 'no provider is enabled', 'enable a provider, or set the variables of its keys' },
}

local FALLBACK = 'correct this; ccrelay config schema --format markdown lists all keys'
local OF_SCRIPT = 'correct the script at this line'

local function known(message)
  for _, row in ipairs(CURES) do
    local name = message:match(row[1])
    if name then return (row[2]:gsub('%%s', function() return name end)) end
  end
end

local function of_message(one)
  local message = one.message or ''
  local cure = known(message)
  if cure then return message, cure end
  local what, todo = message:match '^(.*); (.-)$'
  if what then return what, todo end
  return message, (one.file or ''):find '%.lua$' and OF_SCRIPT or FALLBACK
end

--- Splits a fault of the configuration or of a script into what is wrong and the cure.
---@param one ccrelay.Fault
---@return string what
---@return string cure
function M.of_fault(one)
  if one.hint then
    local what = one.message or 'found ' .. (one.found or 'an unknown name')
    return what, ('write "%s"'):format(fault.printable(one.hint))
  end
  if not one.expected then return of_message(one) end
  local what = one.message or ''
  if one.found then what = (what ~= '' and what .. ', ' or '') .. 'found ' .. one.found end
  return what ~= '' and what or 'it is missing', 'change it to ' .. one.expected
end

--- Splits a message into what is wrong and the cure.
---@param message string
---@param file string? that it is about
---@return string what
---@return string cure
function M.of_message(message, file)
  return of_message { message = message, file = file }
end

return M
