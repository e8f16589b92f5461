-- SPDX-License-Identifier: Apache-2.0
-- Reads the response headers of upstreams: the limits of a key, and when to try again.
local C = require 'ccrelay.c'
local date = require 'ccrelay.util.date'
local ffi = require 'ffi'
local model_class = require 'ccrelay.limits.model_class'
local slice = require 'ccrelay.util.slice'

local M = {}

local KINDS = { 'requests', 'tokens', 'input-tokens', 'output-tokens' }

local UNIFIED = 'anthropic-ratelimit-unified-' -- limits of a subscription

local names = {}
for index, kind in ipairs(KINDS) do
  local prefix = 'anthropic-ratelimit-' .. kind
  names[index] = { limit = prefix .. '-limit', remaining = prefix .. '-remaining', reset = prefix .. '-reset' }
end

local value = ffi.new 'struct cc_slice'

local function header(exchange, number, name)
  local code = C.cc_outcome_header(exchange.relay, exchange.handle, number, name, #name, value)
  return code == C.CC_OK and value.size > 0 and slice.text(value) or nil
end

M.header = header

local function amount(exchange, number, name)
  local text = header(exchange, number, name)
  return text and tonumber(text)
end

--- Returns the seconds since 1970 of an RFC 3339 time, or nil.
---@param text string
---@return number?
function M.rfc3339(text)
  local at = date.rfc3339(text)
  return at and at / 1000
end

-- Times in an answer are relative to its own date header, because clocks differ.
local function time_of(date_text)
  return date_text and date.http(date_text) or C.cc_time()
end

local function decimal(text)
  if text and #text < 16 and (string.find(text, '^%d+$') or string.find(text, '^%d+%.%d+$')) then
    return tonumber(text)
  end
  return nil
end

--- Returns the seconds to wait by a retry-after header: digits or a date; nil for anything else.
---@param text string?
---@param date_text string? the answer's date header
---@return number?
function M.seconds(text, date_text)
  if not text then return nil end
  local seconds = decimal(text)
  if seconds then return seconds end
  local at = date.http(text)
  return at and math.max(at - time_of(date_text), 0) / 1000 or nil
end

--- Returns the seconds to wait by the headers of an answer. retry-after-ms comes before retry-after, as in Anthropic's
--- SDKs.
---@param headers table<string, string?>
---@return number?
function M.retry_after(headers)
  local milliseconds = decimal(headers['retry-after-ms'])
  return milliseconds and milliseconds / 1000 or M.seconds(headers['retry-after'], headers.date)
end

local function seconds_until(exchange, number, text)
  local at = M.rfc3339(text) or (string.find(text, '^%d+$') and #text < 12 and tonumber(text)) or nil
  return at and at - time_of(header(exchange, number, 'date')) / 1000
end

-- The reset header of a limit that refills gradually states when it will be full; retry-after states when it has some
-- room.
local function sooner(away, remaining, outcome)
  local pause = outcome.status == 429 and outcome.retry_after
  if not away or not pause or remaining ~= 0 then return away end
  return math.min(away, math.max(pause, 1))
end

--- Updates the key's limit from the headers of an answer.
---@param exchange ccrelay.Exchange
---@param attempt ccrelay.Attempt
---@param outcome ccrelay.Outcome
function M.learn(exchange, attempt, outcome)
  local limit = model_class.of(attempt.key, attempt.upstream.model).limit
  if not limit then return end
  local reserved = attempt.reserved and attempt.reserved + 1 or nil
  for index, name in ipairs(names) do
    local rate = amount(exchange, attempt.number, name.limit)
    local remaining = amount(exchange, attempt.number, name.remaining)
    if rate or remaining then
      local reset = header(exchange, attempt.number, name.reset)
      local away, now = reset and seconds_until(exchange, attempt.number, reset), C.cc_now()
      away = sooner(away, remaining, outcome)
      C.cc_limit_learn(limit, index - 1, rate or 0, away and remaining or -1, now + (away or 0) * 1000, now,
        reserved)
    end
  end
end

--- Returns the seconds until the used-up limit resets, by the reset headers; nil if they do not state it.
---@param exchange ccrelay.Exchange
---@param number integer of the attempt
---@return number?
function M.reset_after(exchange, number)
  local longest
  for _, name in ipairs(names) do
    if amount(exchange, number, name.remaining) == 0 then
      local away = seconds_until(exchange, number, header(exchange, number, name.reset) or '')
      if away and away > 0 then longest = math.max(longest or 0, away) end
    end
  end
  if longest then return longest end
  local status = header(exchange, number, UNIFIED .. 'status')
  if status and status ~= 'rejected' then return nil end -- another limit was hit, and its reset is not stated
  local unified = header(exchange, number, UNIFIED .. 'reset')
  local away = unified and seconds_until(exchange, number, unified)
  return away and away > 0 and away or nil
end

return M
