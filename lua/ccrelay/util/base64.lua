-- SPDX-License-Identifier: Apache-2.0
-- Encodes bytes as Base64 with padding (RFC 4648, section 4). The work is done in C.
local C = require 'ccrelay.c'
local ffi = require 'ffi'

local M = {}

local out, size = ffi.new 'char *[1]', ffi.new 'uint32_t[1]'

--- Encodes bytes as Base64. Raises an error if there is no memory.
---@param text string
---@return string
function M.encode(text)
  if C.cc_base64(text, #text, false, out, size) ~= C.CC_OK then error('the text cannot be encoded as Base64', 2) end
  local encoded = size[0] > 0 and ffi.string(out[0], size[0]) or ''
  C.cc_free(out[0])
  return encoded
end

return M
