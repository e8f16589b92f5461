-- SPDX-License-Identifier: Apache-2.0
-- What response headers tell of a key's limits, and of times to come back.
local C = require 'ccrelay.c'
local ffi = require 'ffi'

local M = {}

local KINDS = { 'requests', 'tokens', 'input-tokens', 'output-tokens' }
local MONTHS = {
  Jan = 1, Feb = 2, Mar = 3, Apr = 4, May = 5, Jun = 6, Jul = 7, Aug = 8, Sep = 9, Oct = 10, Nov = 11, Dec = 12,
}

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

-- Days since 1970 of a date of the Gregorian calendar.
local function days(year, month, day)
  if month <= 2 then year, month = year - 1, month + 12 end
  local era = math.floor(year / 400)
  local of_era = year - era * 400
  local of_year = math.floor((153 * (month - 3) + 2) / 5) + day - 1
  return era * 146097 + of_era * 365 + math.floor(of_era / 4) - math.floor(of_era / 100) + of_year - 719468
end

local function moment(year, month, day, hour, minute, second)
  return ((days(year, month, day) * 24 + hour) * 60 + minute) * 60 + second
end

--- Seconds since 1970 of an RFC 3339 time, or nil.
---@param text string
---@return number?
function M.rfc3339(text)
  local year, month, day, hour, minute, second, zone =
    string.match(text, '^(%d%d%d%d)-(%d%d)-(%d%d)[Tt ](%d%d):(%d%d):(%d%d%.?%d*)([Zz+-].*)$')
  if not year then return nil end
  local value = moment(tonumber(year), tonumber(month), tonumber(day),
    tonumber(hour), tonumber(minute), tonumber(second))
  if zone == 'Z' or zone == 'z' then return value end
  local sign, hours, minutes = string.match(zone, '^([+-])(%d%d):(%d%d)$')
  if not sign then return nil end
  local offset = (tonumber(hours) * 60 + tonumber(minutes)) * 60
  return sign == '+' and value - offset or value + offset
end

local function http_date(text)
  local day, name, year, hour, minute, second =
    string.match(text, '^%a+, (%d%d) (%a%a%a) (%d%d%d%d) (%d%d):(%d%d):(%d%d) GMT$')
  local month = name and MONTHS[name]
  if not month then return nil end
  return moment(tonumber(year), month, tonumber(day), tonumber(hour), tonumber(minute), tonumber(second))
end

--- Seconds to wait by a retry-after header: digits or a date; nil for anything else.
---@param text string?
---@return number?
function M.retry_after(text)
  if not text then return nil end
  if #text < 16 and (string.find(text, '^%d+$') or string.find(text, '^%d+%.%d+$')) then return tonumber(text) end
  local date = http_date(text)
  return date and math.max(date - C.cc_time() / 1000, 0) or nil
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
      C.cc_limit_learn(limit, index - 1, rate or 0, away and remaining or -1, now + (away or 0) * 1000, now)
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
