-- SPDX-License-Identifier: Apache-2.0
-- Checks key pairs from all sources: complete, and fit to be sent in headers.
local json = require 'ccrelay.util.json'
local texts = require 'ccrelay.util.text'

local M = {}

---@class ccrelay.AwsValue credentials: a key pair, or a bearer token
---@field access_key string?
---@field secret_key string?
---@field session_token string?
---@field bearer string?
---@field source string where they came from, for messages

---@class ccrelay.AwsOptions
---@field settings table? the provider's settings, with the aws_* keys
---@field profile string? the profile, in place of AWS_PROFILE
---@field region string? the region of STS if neither profile nor environment names one
---@field bearer boolean? whether AWS_BEARER_TOKEN_BEDROCK may be used
---@field name string? the provider whose clock skew is used and learned
---@field ca_file string?
---@field memory table? state between calls: the last credentials of the instance

--- Trims a text. Returns nil for nil, JSON's null and blank texts, and other values unchanged.
---@param text any
---@return any
function M.filled(text)
  if text == nil or text == json.null then return nil end
  if type(text) ~= 'string' then return text end
  local inside = texts.trim(text)
  return inside ~= '' and inside or nil
end

--- Returns an environment variable; a blank one counts as unset.
---@param context ccrelay.Host
---@param name string
---@return string?
function M.env(context, name)
  return M.filled(context.env(name))
end

--- Tells whether an environment variable is "true", in any case.
---@param context ccrelay.Host
---@param name string
---@return boolean
function M.is_on(context, name)
  return string.lower(M.env(context, name) or '') == 'true'
end

--- Tells why a text cannot be sent in a header; nil if it can.
---@param text any
---@return string?
function M.unfit(text)
  if type(text) ~= 'string' then return 'is not a string' end
  if string.find(text, '[^\33-\126]') then return 'contains a blank, a line break or a character that is not ASCII' end
  return nil
end

--- Checks a key pair and returns it as a value, or nil and what is wrong.
---@param names string[] what the source calls id, secret and token, for messages
---@param id any
---@param secret any
---@param token any the session token, or nil
---@param source string where they came from, for messages
---@return ccrelay.AwsValue? value
---@return string? message
function M.make(names, id, secret, token, source)
  local parts = { M.filled(id) or false, M.filled(secret) or false, M.filled(token) or false }
  for index, name in ipairs(names) do
    local part = parts[index]
    if not part and index < 3 then return nil, name .. ' is missing' end
    local why = part and M.unfit(part)
    if why then return nil, name .. ' ' .. why end
  end
  return { access_key = parts[1], secret_key = parts[2], session_token = parts[3] or nil, source = source }
end

return M
