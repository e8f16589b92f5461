-- SPDX-License-Identifier: Apache-2.0
-- Parses the times that services write: RFC 3339 in documents, HTTP dates (RFC 9110, section 5.6.7) in headers.
local M = {}

local MONTHS = {
  Jan = 1, Feb = 2, Mar = 3, Apr = 4, May = 5, Jun = 6, Jul = 7, Aug = 8, Sep = 9, Oct = 10, Nov = 11, Dec = 12,
}

-- Days from 1970-01-01 to a date of the Gregorian calendar.
local function days(year, month, day)
  if month <= 2 then year, month = year - 1, month + 12 end
  local era = math.floor(year / 400)
  local of_era = year - era * 400
  local of_year = math.floor((153 * (month - 3) + 2) / 5) + day - 1
  return era * 146097 + of_era * 365 + math.floor(of_era / 4) - math.floor(of_era / 100) + of_year - 719468
end

local function moment(year, month, day, hour, minute, second)
  year, month, day = tonumber(year), tonumber(month), tonumber(day)
  hour, minute, second = tonumber(hour), tonumber(minute), tonumber(second)
  if month < 1 or month > 12 or day < 1 or day > 31 or hour > 23 or minute > 59 or second >= 61 then return nil end
  return (((days(year, month, day) * 24 + hour) * 60 + minute) * 60 + second) * 1000
end

local function zone_offset(zone)
  if zone == 'Z' or zone == 'z' then return 0 end
  local sign, hours, minutes = string.match(zone, '^([+-])(%d%d):(%d%d)$')
  if not sign then return nil end
  local offset_ms = (tonumber(hours) * 60 + tonumber(minutes)) * 60000
  return sign == '+' and offset_ms or -offset_ms
end

--- Parses an RFC 3339 time.
---@param text string
---@return number? ms milliseconds since 1970; nil if the text is not such a time
function M.rfc3339(text)
  local year, month, day, hour, minute, second, zone =
    string.match(text, '^(%d%d%d%d)-(%d%d)-(%d%d)[Tt ](%d%d):(%d%d):(%d%d%.?%d*)([Zz+-].*)$')
  local at = year and moment(year, month, day, hour, minute, second)
  local offset = at and zone_offset(zone)
  return offset and at - offset
end

--- Parses an RFC 3339 time, or a date, which stands for the end of that day (UTC).
---@param text string
---@return number? ms milliseconds since 1970; nil if the text is neither
function M.end_of(text)
  local year, month, day = string.match(text, '^(%d%d%d%d)-(%d%d)-(%d%d)$')
  local at = year and moment(year, month, day, 0, 0, 0)
  return at and at + 86400000 or M.rfc3339(text)
end

-- RFC 9110 reads a year of two digits as one at most 50 years ahead. This module has no clock, and services write no
-- dates before 1970, so 70 to 99 are of the last century.
local function century(year)
  return tonumber(year) < 70 and 2000 + tonumber(year) or 1900 + tonumber(year)
end

local forms = {
  function(text)
    local day, month, year, time = string.match(text, '^%a+, (%d%d) (%a%a%a) (%d%d%d%d) (%d%d:%d%d:%d%d) GMT$')
    return day, month, year, time
  end,
  function(text)
    local day, month, year, time = string.match(text, '^%a+, (%d%d)%-(%a%a%a)%-(%d%d) (%d%d:%d%d:%d%d) GMT$')
    return day, month, year and century(year), time
  end,
  function(text)
    local month, day, time, year = string.match(text, '^%a+ (%a%a%a) ([ %d]%d) (%d%d:%d%d:%d%d) (%d%d%d%d)$')
    return day, month, year, time
  end,
}

--- Parses an HTTP date in any of its three forms.
---@param text string
---@return number? ms milliseconds since 1970; nil if the text is not an HTTP date
function M.http(text)
  for _, form in ipairs(forms) do
    local day, month, year, time = form(text)
    if day and MONTHS[month] then
      local hour, minute, second = string.match(time, '^(%d%d):(%d%d):(%d%d)$')
      return moment(year, MONTHS[month], day, hour, minute, second)
    end
  end
  return nil
end

return M
