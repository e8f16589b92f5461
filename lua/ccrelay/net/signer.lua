-- SPDX-License-Identifier: Apache-2.0
-- Signs the relay's own requests with AWS Signature Version 4. C computes the signature.
local C = require 'ccrelay.c'
local ffi = require 'ffi'
local slice = require 'ccrelay.util.slice'

---@class ccrelay.Signer
---@field access_key string
---@field secret_key string
---@field session_token string?
---@field region string
---@field service string
---@field skew_ms number?

local M = {}

local spec = ffi.new 'struct cc_signer'

--- Fills the C structure of a signer. Its texts must stay alive as long as the structure is used.
---@param into ffi.cdata* struct cc_signer
---@param signer ccrelay.Signer
function M.fill(into, signer)
  slice.put(into.access_key, signer.access_key)
  slice.put(into.secret_key, signer.secret_key)
  slice.put(into.session_token, signer.session_token or '')
  slice.put(into.region, signer.region)
  slice.put(into.service, signer.service)
  into.skew_ms = signer.skew_ms or 0
end

--- Returns the header lines that sign a request.
---@param signer ccrelay.Signer
---@param now number milliseconds since 1970
---@param request { method: string, host: string, target: string, lines: string, body: string }
---@return string? lines nil if it cannot be signed
---@return integer? code error of C
function M.sign(signer, now, request)
  M.fill(spec, signer)
  local lines, body = request.lines, request.body
  local code = C.cc_sign(spec, now, request.method, request.host, request.target, lines, body, #body, slice.out,
    slice.out_size)
  if code ~= C.CC_OK then return nil, code end
  return slice.taken()
end

return M
