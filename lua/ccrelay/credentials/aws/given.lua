-- SPDX-License-Identifier: Apache-2.0
-- Credentials as programs and metadata services give them: one JSON object.
local date = require 'ccrelay.util.date'
local json = require 'ccrelay.util.json'
local keys = require 'ccrelay.credentials.aws.keys'

local M = {}

--- The object of a JSON text, or nil.
---@param text string
---@return table?
function M.object(text)
  local object = json.decode(text)
  return type(object) == 'table' and object or nil
end

--- The key pair of an object and its end; token is the name its session token goes by.
---@param object table
---@param token string
---@param source string
---@return ccrelay.AwsValue? value
---@return any expires nil: it has none; or what is wrong
function M.value(object, token, source)
  local names = { 'AccessKeyId', 'SecretAccessKey', token }
  local value, why = keys.make(names, object.AccessKeyId, object.SecretAccessKey, object[token], source)
  if not value then return nil, why end
  local ending = keys.filled(object.Expiration)
  if not ending then return value end
  local expires = type(ending) == 'string' and date.rfc3339(ending)
  if not expires then return nil, 'Expiration is no time such as 2026-01-31T12:00:00Z' end
  return value, expires
end

--- A foreign text made fit for a message: one line, not too long.
---@param text any
---@return string
function M.excerpt(text)
  local line = string.gsub(json.clean(tostring(text or '')), '[%c%s]+', ' ')
  line = string.match(line, '^ ?(.-) ?$')
  return #line > 500 and string.sub(line, 1, 497) .. '...' or line
end

return M
