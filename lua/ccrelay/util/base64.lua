-- SPDX-License-Identifier: Apache-2.0
-- Base64 (RFC 4648, with padding) of bytes, by C.
local C = require 'ccrelay.c'
local ffi = require 'ffi'

local M = {}

local out, size = ffi.new 'char *[1]', ffi.new 'uint32_t[1]'

--- Base64 of bytes; raises an error where there is no memory for it.
---@param text string
---@return string
function M.encode(text)
  if C.cc_base64(text, #text, false, out, size) ~= C.CC_OK then error('no base64 of this', 2) end
  local encoded = size[0] > 0 and ffi.string(out[0], size[0]) or ''
  C.cc_free(out[0])
  return encoded
end

return M
