-- SPDX-License-Identifier: Apache-2.0
-- Reads credentials in the JSON form that programs and metadata services print.
local date = require 'ccrelay.util.date'
local json = require 'ccrelay.util.json'
local keys = require 'ccrelay.credentials.aws.keys'

local M = {}

--- Decodes JSON text; nil if it is not an object.
---@param text string
---@return table?
function M.object(text)
  local object = json.decode(text)
  return type(object) == 'table' and object or nil
end

--- Returns the key pair of an object and when it expires.
---@param object table
---@param token string the name of the member with the session token
---@param source string where it came from, for messages
---@return ccrelay.AwsValue? value
---@return any expires wall clock in ms, nil if there is none; without a value: what is wrong
function M.value(object, token, source)
  local names = { 'AccessKeyId', 'SecretAccessKey', token }
  local value, why = keys.make(names, object.AccessKeyId, object.SecretAccessKey, object[token], source)
  if not value then return nil, why end
  local ending = keys.filled(object.Expiration)
  if not ending then return value end
  local expires = type(ending) == 'string' and date.rfc3339(ending)
  if not expires then return nil, 'Expiration is not a time such as 2026-01-31T12:00:00Z' end
  return value, expires
end

--- Makes text of others fit for a message: one line, shortened.
---@param text any
---@return string
function M.excerpt(text)
  local line = string.gsub(json.clean(tostring(text or '')), '[%c%s]+', ' ')
  line = string.match(line, '^ ?(.-) ?$')
  return #line > 500 and string.sub(line, 1, 497) .. '...' or line
end

return M
