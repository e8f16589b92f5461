-- SPDX-License-Identifier: Apache-2.0
-- Reads the answer of a token endpoint: a token and when it expires, or an error. It guarantees that no message holds a
-- secret.
local date = require 'ccrelay.util.date'
local json = require 'ccrelay.util.json'
local redact = require 'ccrelay.log.redact'

---@class ccrelay.TokenReply
---@field token string
---@field expires number when it expires, wall clock in milliseconds

---@class ccrelay.TokenFailure
---@field message string who refused, and its message
---@field status integer? nil if no answer came
---@field code string? the name of the error
---@field description string? its description

---@class ccrelay.TokenShape the members of an answer
---@field token string? the member with the token; access_token unless given
---@field time string? the member with the RFC 3339 time of expiry; expires_in or expires_on unless given

local M = {}

M.MOST_BYTES = 65536

local SHORTEST_MS, LONGEST_MS, USUAL_MS = 1000, 24 * 3600000, 3600000
local MOST_WORDS = 2000
local SHORTEST_SECRET = 6

local function hide(text, secret)
  local pattern = string.gsub(secret, '[%^%$%(%)%%%.%[%]%*%+%-%?]', '%%%0')
  return (string.gsub(text, pattern, '[redacted]'))
end

-- Replaces a JSON web token ("eyJ", then a dot further on) in a run of characters that such tokens consist of.
local function without_jwt(run)
  local first, dot = 0, 0
  repeat
    first = string.find(run, 'eyJ', math.max(first + 1, dot), true)
    dot = first and string.find(run, '.', first + 3, true)
    if not dot or dot == #run then return nil end
  until dot > first + 3
  return string.sub(run, 1, first - 1) .. '[redacted]'
end

local function without_control(blanks)
  return string.find(blanks, '[%c\127]') and ' ' or nil
end

--- Makes text of a service fit for messages: one line of at most 2000 bytes, without these secrets and without text
--- that looks like a secret.
---@param text string
---@param secrets string[]?
---@return string
function M.words(text, secrets)
  local list = {}
  for _, secret in ipairs(secrets or {}) do
    if #secret >= SHORTEST_SECRET then list[#list + 1] = secret end
  end
  table.sort(list, function(a, b) return #a > #b end)
  for _, secret in ipairs(list) do text = hide(text, secret) end
  text = string.gsub(text, '[%w_.-]+', without_jwt)
  text = string.gsub(redact.looks(json.clean(text)), '[%s%c\127]+', without_control)
  return string.sub(text, 1, MOST_WORDS)
end

--- Tells whether a text may be sent as a token: visible ASCII only.
---@param token any
---@return boolean
function M.is_token(token)
  return type(token) == 'string' and token ~= '' and not string.find(token, '[^\33-\126]')
end

-- ---- Times -------------------------------------------------------------------------------------

local function number_of(value)
  local number = tonumber(type(value) ~= 'table' and value or nil)
  return number == number and number or nil
end

--- Returns when a token expires: 1 s to 24 h from now, whatever the service said, and 1 h if it said nothing.
---@param now number wall clock in ms
---@param life number? ms
---@return number expires wall clock in ms
function M.ends(now, life)
  return now + math.min(math.max(life or USUAL_MS, SHORTEST_MS), LONGEST_MS)
end

local function life_of(reply, shape, now)
  if shape.time then
    local text = reply[shape.time]
    local moment = type(text) == 'string' and date.rfc3339(text)
    return moment and moment - now or nil
  end
  local seconds, at = number_of(reply.expires_in), number_of(reply.expires_on)
  if seconds then return seconds * 1000 end
  return at and at * 1000 - now
end

-- ---- Answers -----------------------------------------------------------------------------------

local function text_of(value)
  return type(value) == 'string' and value ~= '' and value or nil
end

-- OAuth writes {"error":"name","error_description":""}, APIs of Google {"error":{"status":"","message":""}}.
local function error_of(reply)
  local inner = reply.error
  if type(inner) == 'table' then return text_of(inner.status), text_of(inner.message) end
  return text_of(inner) or text_of(reply.Code), text_of(reply.error_description) or text_of(reply.message)
end

local function refused(answer, who, secrets)
  local failure = { status = answer.status }
  local reply = json.decode(answer.body)
  if answer.status >= 300 and answer.status < 400 then
    failure.message = who .. ' answered with a redirect (status ' .. answer.status .. '), which is not followed'
    return failure
  end
  if type(reply) == 'table' then failure.code, failure.description = error_of(reply) end
  for _, name in ipairs { 'code', 'description' } do
    failure[name] = failure[name] and M.words(failure[name], secrets)
  end
  local words = {}
  words[1], words[2] = failure.code or failure.description, failure.code and failure.description
  failure.message = who .. ' refused with status ' .. answer.status
    .. (words[1] and ': ' .. table.concat(words, ': ') or ' and no message')
  return failure
end

--- Decodes an answer of status 200 that is a JSON object; else returns the failure.
---@param answer ccrelay.Fetched
---@param who string names the service in messages: "Google (https://...)"
---@param secrets string[]? the secrets that were sent; they are removed from messages
---@return table? reply
---@return ccrelay.TokenFailure? failure
function M.object(answer, who, secrets)
  if #answer.body > M.MOST_BYTES then
    return nil, { status = answer.status, message = who .. ' answered with more than ' .. M.MOST_BYTES .. ' bytes' }
  end
  if answer.status ~= 200 then return nil, refused(answer, who, secrets) end
  local reply = json.decode(answer.body)
  if type(reply) == 'table' then return reply end
  return nil, { status = 200, message = who .. ' answered with something that is not a JSON object' }
end

--- Reads the answer of a token endpoint.
---@param answer ccrelay.Fetched
---@param who string names the service in messages
---@param now number wall clock in ms
---@param secrets string[]? the secrets that were sent; they are removed from messages
---@param shape ccrelay.TokenShape?
---@return ccrelay.TokenReply? reply
---@return ccrelay.TokenFailure? failure
function M.read(answer, who, now, secrets, shape)
  local reply, failure = M.object(answer, who, secrets)
  if not reply then return nil, failure end
  shape = shape or {}
  local name = shape.token or 'access_token'
  local function wrong(words) return nil, { status = 200, message = who .. ' answered ' .. words } end
  local token, kind = reply[name], reply.token_type
  if token == nil or token == json.null or token == '' then return wrong('without ' .. name) end
  if not M.is_token(token) then return wrong('with an ' .. name .. ' that contains bytes that no token may have') end
  if type(kind) == 'string' and string.lower(kind) ~= 'bearer' then
    return wrong('with a token of type "' .. M.words(kind, secrets) .. '", not Bearer')
  end
  return { token = token, expires = M.ends(now, life_of(reply, shape, now)) }
end

return M
