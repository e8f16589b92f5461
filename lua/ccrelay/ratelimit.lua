-- SPDX-License-Identifier: Apache-2.0
-- What response headers tell of a key's limits, and of times to come back.
local C = require 'ccrelay.c'
local date = require 'ccrelay.date'
local ffi = require 'ffi'

local M = {}

local KINDS = { 'requests', 'tokens', 'input-tokens', 'output-tokens' }

local names = {}
for index, kind in ipairs(KINDS) do
  local prefix = 'anthropic-ratelimit-' .. kind
  names[index] = { limit = prefix .. '-limit', remaining = prefix .. '-remaining', reset = prefix .. '-reset' }
end

local slice = ffi.new 'struct cc_slice'

local function header(exchange, number, name)
  local code = C.cc_outcome_header(exchange.relay, exchange.handle, number, name, #name, slice)
  return code == C.CC_OK and slice.size > 0 and ffi.string(slice.data, slice.size) or nil
end

M.header = header

local function amount(exchange, number, name)
  local text = header(exchange, number, name)
  return text and tonumber(text)
end

--- Seconds since 1970 of an RFC 3339 time, or nil.
---@param text string
---@return number?
function M.rfc3339(text)
  local at = date.rfc3339(text)
  return at and at / 1000
end

--- Seconds to wait by a retry-after header: digits or a date; nil for anything else.
---@param text string?
---@return number?
function M.retry_after(text)
  if not text then return nil end
  if #text < 16 and (string.find(text, '^%d+$') or string.find(text, '^%d+%.%d+$')) then return tonumber(text) end
  local at = date.http(text)
  return at and math.max(at - C.cc_time(), 0) / 1000 or nil
end

local function seconds_until(text)
  local at = M.rfc3339(text) or (string.find(text, '^%d+$') and #text < 12 and tonumber(text)) or nil
  return at and at - C.cc_time() / 1000
end

--- Tells the key's limit what the answer's headers say of it.
---@param exchange ccrelay.Exchange
---@param attempt ccrelay.Attempt
function M.learn(exchange, attempt)
  local limit = attempt.slot.limit
  if not limit then return end
  for index, name in ipairs(names) do
    local rate = amount(exchange, attempt.number, name.limit)
    local remaining = amount(exchange, attempt.number, name.remaining)
    if rate or remaining then
      local reset = header(exchange, attempt.number, name.reset)
      local away, now = reset and seconds_until(reset), C.cc_now()
      C.cc_limit_learn(limit, index - 1, rate or 0, away and remaining or -1, now + (away or 0) * 1000, now,
        attempt.ticket)
    end
  end
end

--- Seconds until what is used up is there again, by the reset headers; nil when they do not say.
---@param exchange ccrelay.Exchange
---@param number integer
---@return number?
function M.reset_after(exchange, number)
  local longest
  for _, name in ipairs(names) do
    if amount(exchange, number, name.remaining) == 0 then
      local away = seconds_until(header(exchange, number, name.reset) or '')
      if away and away > 0 then longest = math.max(longest or 0, away) end
    end
  end
  if longest then return longest end
  local unified = header(exchange, number, 'anthropic-ratelimit-unified-reset')
  local away = unified and seconds_until(unified)
  return away and away > 0 and away or nil
end

return M
