-- SPDX-License-Identifier: Apache-2.0
-- What a token endpoint answered: a token and its end, or the words of the refusal without secrets.
local date = require 'ccrelay.util.date'
local json = require 'ccrelay.util.json'
local redact = require 'ccrelay.log.redact'

---@class ccrelay.TokenReply
---@field token string
---@field expires number wall clock in milliseconds

---@class ccrelay.TokenFailure
---@field message string who refused and its words
---@field status integer? nil: no answer came
---@field code string? the error's name
---@field description string? its words

---@class ccrelay.TokenShape where in the answer things are
---@field token string? access_token
---@field time string? of a member with an RFC 3339 time; without: expires_in, expires_on

local M = {}

M.MOST_BYTES = 65536

local SHORTEST_MS, LONGEST_MS, USUAL_MS = 1000, 24 * 3600000, 3600000
local MOST_WORDS = 2000
local SHORTEST_SECRET = 6

local function hide(text, secret)
  local pattern = string.gsub(secret, '[%^%$%(%)%%%.%[%]%*%+%-%?]', '%%%0')
  return (string.gsub(text, pattern, '[redacted]'))
end

-- A JSON web token in a run of its characters: "eyJ", and a dot that is not next to it.
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

--- Text of a service fit for messages: one line, without these secrets and what looks like one.
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

--- Whether a text may be sent as a credential: visible ASCII only.
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

--- The end of a token, whatever the service said: 1 s to 24 h from now, 1 h when it said nothing.
---@param now number
---@param life number? milliseconds
---@return number
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

-- OAuth: {"error":"name","error_description":""}; APIs of Google: {"error":{"status":"","message":""}}.
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
    .. (words[1] and ': ' .. table.concat(words, ': ') or ' and without words of its own')
  return failure
end

--- The JSON object a service answered with status 200, or what is wrong.
---@param answer ccrelay.Fetched
---@param who string "Google (https://...)": who was asked
---@param secrets string[]? what was sent
---@return table? reply
---@return ccrelay.TokenFailure? failure
function M.object(answer, who, secrets)
  if #answer.body > M.MOST_BYTES then
    return nil, { status = answer.status, message = who .. ' answered with more than ' .. M.MOST_BYTES .. ' bytes' }
  end
  if answer.status ~= 200 then return nil, refused(answer, who, secrets) end
  local reply = json.decode(answer.body)
  if type(reply) == 'table' then return reply end
  return nil, { status = 200, message = who .. ' answered with something that is no JSON object' }
end

--- Reads the answer of a token endpoint.
---@param answer ccrelay.Fetched
---@param who string
---@param now number
---@param secrets string[]?
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
  if not M.is_token(token) then return wrong('with an ' .. name .. ' that holds bytes no token may have') end
  if type(kind) == 'string' and string.lower(kind) ~= 'bearer' then
    return wrong('with a token of type "' .. M.words(kind, secrets) .. '", not Bearer')
  end
  return { token = token, expires = M.ends(now, life_of(reply, shape, now)) }
end

return M
