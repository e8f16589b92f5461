-- SPDX-License-Identifier: Apache-2.0
-- Computes SHA-256 digests, and compares digests in constant time.
local C = require 'ccrelay.c'
local bit = require 'bit'
local ffi = require 'ffi'

local M = {}

local SIZE = 32

local digest = ffi.new('uint8_t[?]', SIZE)

--- Returns the digest of bytes, which has 32 bytes.
---@param data string|ffi.cdata*
---@param size integer? size of data; the whole string unless given
---@return string
function M.of(data, size)
  C.cc_sha256(data, size or #data, digest)
  return ffi.string(digest, SIZE)
end

-- Four bytes of the digest as hex digits.
local function hex_at(index)
  local high = bit.bor(bit.lshift(digest[index], 24), bit.lshift(digest[index + 1], 16))
  return bit.tohex(bit.bor(high, bit.lshift(digest[index + 2], 8), digest[index + 3]))
end

--- Returns the first bytes of the digest of a text as hex digits.
---@param text string
---@param bytes integer how many bytes, 32 at most
---@return string
function M.hex(text, bytes)
  C.cc_sha256(text, #text, digest)
  local digits = ''
  for index = 0, bytes - 1, 4 do digits = digits .. hex_at(index) end
  return string.sub(digits, 1, bytes * 2)
end

--- Returns the first bytes of the digest of a text as a whole number.
---@param text string
---@param bytes integer how many bytes, 6 at most
---@return integer
function M.number(text, bytes)
  C.cc_sha256(text, #text, digest)
  local number = 0
  for index = 0, bytes - 1 do number = number * 256 + digest[index] end
  return number
end

--- Tells whether two digests are equal. The time does not depend on where they differ.
---@param a string from M.of
---@param b string from M.of
---@return boolean
function M.equal(a, b)
  return C.cc_equal(a, b, SIZE)
end

return M
