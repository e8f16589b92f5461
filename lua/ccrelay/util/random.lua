-- SPDX-License-Identifier: Apache-2.0
-- Random numbers from the operating system. All of the library draws them here, so that a test can replace the source.
local C = require 'ccrelay.c'
local ffi = require 'ffi'

local M = {}

local POOL = 512
local pool = ffi.new('uint8_t[?]', POOL)
local words = ffi.cast('uint32_t *', pool)
local used = POOL

local function word()
  if used + 4 > POOL then
    if C.cc_random(pool, POOL) ~= 0 then error('the system gives no random bytes', 0) end
    used = 0
  end
  local value = words[used / 4]
  used = used + 4
  return value
end

--- Draws a number from 0 to below 1.
---@return number
function M.fraction()
  return word() / 4294967296
end

--- Without an argument a number from 0 to below 1; with one a whole number from 1 to most.
---@param most integer?
---@return number
function M.number(most)
  if most == nil then return M.fraction() end
  if type(most) ~= 'number' or most < 1 or most % 1 ~= 0 then error('relay.random takes a whole number above 0', 3) end
  return math.floor(M.fraction() * most) + 1
end

--- Makes a random identifier of 16 hex digits.
---@return string
function M.id()
  return string.format('%08x%08x', word(), word())
end

--- Drops the buffered random bytes. After a fork, a process must call it, or it draws the same numbers as its parent.
function M.renew()
  used = POOL
end

return M
