-- SPDX-License-Identifier: Apache-2.0
-- Texts at the border to C: reads slices (struct cc_slice), points slices at texts, takes over what C has allocated.
local C = require 'ccrelay.c'
local ffi = require 'ffi'

local M = {}

--- The text of a slice.
---@param slice ffi.cdata* struct cc_slice
---@return string
function M.text(slice)
  return slice.size > 0 and ffi.string(slice.data, slice.size) or ''
end

--- Points a slice at a text, which has to live as long as C uses the slice.
---@param slice ffi.cdata* struct cc_slice
---@param text string
function M.put(slice, text)
  slice.data, slice.size = text, #text
end

--- Where functions of C put a text that they allocate, and its size. The text is to be taken with M.taken.
M.out, M.out_size = ffi.new 'char *[1]', ffi.new 'uint32_t[1]'

--- The text at M.out, whose memory goes back to C.
---@return string
function M.taken()
  local text = M.out_size[0] > 0 and ffi.string(M.out[0], M.out_size[0]) or ''
  C.cc_free(M.out[0])
  return text
end

return M
