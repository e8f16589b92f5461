-- SPDX-License-Identifier: Apache-2.0
-- Passes texts between Lua and C: reads slices (struct cc_slice), points slices at texts, takes texts that C allocated.
local C = require 'ccrelay.c'
local ffi = require 'ffi'

local M = {}

--- Returns the text of a slice.
---@param slice ffi.cdata* struct cc_slice
---@return string
function M.text(slice)
  return slice.size > 0 and ffi.string(slice.data, slice.size) or ''
end

--- Points a slice at a text. The caller keeps the text alive as long as C uses the slice.
---@param slice ffi.cdata* struct cc_slice
---@param text string
function M.put(slice, text)
  slice.data, slice.size = text, #text
end

--- Out-parameters for functions of C that allocate a text: the text and its size. M.taken must be called after it.
M.out, M.out_size = ffi.new 'char *[1]', ffi.new 'uint32_t[1]'

--- Returns the text at M.out and frees its memory.
---@return string
function M.taken()
  local text = M.out_size[0] > 0 and ffi.string(M.out[0], M.out_size[0]) or ''
  C.cc_free(M.out[0])
  return text
end

return M
