-- SPDX-License-Identifier: Apache-2.0
-- Decodes the Content-Encoding of requests, in C, and answers bodies that cannot be decoded with the error codes that
-- the SDKs know.
local C = require 'ccrelay.c'
local respond = require 'ccrelay.exchange.respond'
local ffi = require 'ffi'

local M = {}

local function limit_of(exchange)
  return exchange.generation.configuration.server.max_body_bytes
end

local FAULTS = {
  [C.CC_EENCODING] = {
    status = 415, code = 'request_body_encoding_unsupported',
    headers = { ['accept-encoding'] = 'gzip, deflate, br, zstd' }, -- RFC 9110, section 12.5.3
    text = 'content-encoding "%s" is not decoded here; send gzip, deflate, br or zstd, one of them, or the plain body',
  },
  [C.CC_EENCODED] = {
    status = 400, code = 'request_body_encoding_invalid',
    text = 'the body is not valid "%s": it is damaged, incomplete, or goes on after its end',
  },
  [C.CC_EDECODED_SIZE] = {
    status = 413, code = 'request_body_too_large_after_decoding',
    text = 'decoded from "%s" the body is larger than %d bytes (server.max_body_bytes)',
  },
}

--- Answers an error of decoding; returns false for any other code.
---@param exchange ccrelay.Exchange
---@param code integer of cc_request_decode or cc_request_scan
---@return boolean answered
function M.refuse(exchange, code)
  local fault = FAULTS[code]
  if not fault then return false end
  local text = string.format(fault.text, exchange.header['content-encoding'], limit_of(exchange))
  respond.error(exchange, fault.status, fault.code .. ': ' .. text, {
    failure = ffi.string(C.cc_error_name(code)), error_code = fault.code,
    -- Anthropic's ids begin with req_. An id that does not tells the client that the relay, not Anthropic, refused the
    -- encoding; it may send plain bodies then.
    headers = fault.headers,
    request_id = fault.status == 415 and 'ccr_' .. exchange.id or nil,
  })
  return true
end

--- Decodes the body as it arrives; to be called before it is accepted. Answers an unknown encoding and returns false.
---@param exchange ccrelay.Exchange
---@return boolean
function M.decode(exchange)
  local code = C.cc_request_decode(exchange.relay, exchange.handle)
  return not M.refuse(exchange, code)
end

return M
