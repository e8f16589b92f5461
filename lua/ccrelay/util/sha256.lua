-- SPDX-License-Identifier: Apache-2.0
-- SHA-256 digests of texts, and comparison of digests in constant time.
local C = require 'ccrelay.c'
local bit = require 'bit'
local ffi = require 'ffi'

local M = {}

local SIZE = 32

local digest = ffi.new('uint8_t[?]', SIZE)

--- The digest of bytes: 32 bytes.
---@param data string|ffi.cdata*
---@param size integer? of data; a text is taken whole
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

--- The first bytes of the digest of a text as hex digits.
---@param text string
---@param bytes integer
---@return string
function M.hex(text, bytes)
  C.cc_sha256(text, #text, digest)
  local digits = ''
  for index = 0, bytes - 1, 4 do digits = digits .. hex_at(index) end
  return string.sub(digits, 1, bytes * 2)
end

--- The first bytes of the digest of a text as a whole number.
---@param text string
---@param bytes integer at most 6
---@return integer
function M.number(text, bytes)
  C.cc_sha256(text, #text, digest)
  local number = 0
  for index = 0, bytes - 1 do number = number * 256 + digest[index] end
  return number
end

--- Whether two digests are equal. The time it takes does not depend on where they differ.
---@param a string of M.of
---@param b string of M.of
---@return boolean
function M.equal(a, b)
  return C.cc_equal(a, b, SIZE)
end

return M
