-- SPDX-License-Identifier: Apache-2.0
-- Provides os.date for scripts: that of Lua, with time zones, restricted to the conversions of C99.
local C = require 'ccrelay.c'

local M = {}

local LONGEST = 256
local CONVERSIONS = 'aAbBcCdDeFgGhHIjmMnprRStTuUVwWxXyYzZ%'
local MOST_SECONDS = 253402300799 -- 9999-12-31

local function check(format)
  if type(format) ~= 'string' or #format > LONGEST then
    error(('os.date takes a format, a text of at most %d bytes'):format(LONGEST), 3)
  end
  for conversion in string.gmatch(string.gsub(format, '%%%%', ''), '%%(.?)') do
    if conversion == '' or not string.find(CONVERSIONS, conversion, 1, true) then
      error(('os.date has no conversion "%%%s"'):format(conversion), 3)
    end
  end
end

-- Returns the offset of a zone in seconds east of UTC, and the zone as %z shows it.
local function offset_of(zone)
  if zone == 'UTC' or zone == 'Z' then return 0, '+0000' end
  local sign, hours, minutes = string.match(tostring(zone), '^([+-])(%d%d):?(%d%d)$')
  if not sign or tonumber(hours) > 23 or tonumber(minutes) > 59 then
    error(('os.date does not know the time zone "%s"; expected "UTC" or an offset like "+02:00"'):format(
      tostring(zone)), 3)
  end
  local seconds = (tonumber(hours) * 60 + tonumber(minutes)) * 60
  return sign == '+' and seconds or -seconds, sign .. hours .. minutes
end

-- Replaces %z and %Z by the zone, because C would print that of UTC.
local function with_zone(format, shown)
  local marked = string.gsub(format, '%%(.)', { z = shown, Z = shown })
  return marked
end

--- Formats a date, as os.date of Lua with a time zone. The default format is "%c"; "*t" gives a table. The default time
--- is now. The default zone is that of the machine (TZ), or UTC if the format begins with "!".
---@param format string?
---@param time number? seconds since 1970
---@param zone string? "UTC" or an offset such as "+02:00"
---@return string|table
function M.date(format, time, zone)
  format = format or '%c'
  time = time == nil and C.cc_time() / 1000 or time
  if type(time) ~= 'number' or not (time >= 0 and time <= MOST_SECONDS) then
    error('os.date takes seconds since 1970', 2)
  end
  check(format)
  time = math.floor(time)
  if zone == nil then return os.date(format, time) end
  local seconds, shown = offset_of(zone)
  return os.date('!' .. with_zone(string.gsub(format, '^!', ''), shown), time + seconds)
end

return M
