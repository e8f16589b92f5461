-- SPDX-License-Identifier: Apache-2.0
-- Key pairs, wherever they come from: whole, and fit to be sent.
local json = require 'ccrelay.util.json'
local texts = require 'ccrelay.util.text'

local M = {}

---@class ccrelay.AwsValue what the chain finds: a key pair, or a bearer token
---@field access_key string?
---@field secret_key string?
---@field session_token string?
---@field bearer string?
---@field source string where it came from, in words

---@class ccrelay.AwsOptions
---@field settings table? aws_* keys of the configuration
---@field profile string? instead of AWS_PROFILE
---@field region string? where STS is asked when neither profile nor environment say
---@field bearer boolean? AWS_BEARER_TOKEN_BEDROCK may be used
---@field name string? whose clock skew is used and learned
---@field ca_file string?
---@field memory table? what outlives a call: the last credentials of the instance

--- The text without blanks around it; nil for nil, JSON's null and blank ones.
---@param text any
---@return any
function M.filled(text)
  if text == nil or text == json.null then return nil end
  if type(text) ~= 'string' then return text end
  local inside = texts.trim(text)
  return inside ~= '' and inside or nil
end

--- A variable of the environment; blank ones count as unset.
---@param context ccrelay.Surroundings
---@param name string
---@return string?
function M.env(context, name)
  return M.filled(context.env(name))
end

--- Whether a variable is set to true, in any case.
---@param context ccrelay.Surroundings
---@param name string
---@return boolean
function M.is_on(context, name)
  return string.lower(M.env(context, name) or '') == 'true'
end

--- Why a text cannot be sent in a header, or nil.
---@param text any
---@return string?
function M.unfit(text)
  if type(text) ~= 'string' then return 'is no text' end
  if string.find(text, '[^\33-\126]') then return 'holds a blank, a line break or a character that is not ASCII' end
  return nil
end

--- A value of the key pair, or nil and what is wrong with it. Names are those of id, secret and token
--- where they came from.
---@param names string[]
---@param id any
---@param secret any
---@param token any
---@param source string
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
