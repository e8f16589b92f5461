-- SPDX-License-Identifier: Apache-2.0
-- Calls C for the cryptography of Google's credentials and returns Lua strings.
local C = require 'ccrelay.c'
local base64 = require 'ccrelay.util.base64'
local ffi = require 'ffi'

local M = {}

local out, out_size = ffi.new 'char *[1]', ffi.new 'uint32_t[1]'
local signer = ffi.new 'struct cc_signer'

local function taken(code)
  if code ~= C.CC_OK then return nil end
  local text = ffi.string(out[0], out_size[0])
  C.cc_free(out[0])
  return text
end

--- Makes a JWT signed with RS256; nil if the key is not an RSA private key in PEM.
---@param key string PEM
---@param header string JSON
---@param claims string JSON
---@return string?
function M.jwt(key, header, claims)
  return taken(C.cc_jwt(key, #key, header, #header, claims, #claims, out, out_size))
end

--- Returns the value of an Authorization header with the Basic scheme (RFC 7617).
---@param name string
---@param password string
---@return string
function M.basic(name, password)
  return 'Basic ' .. base64.encode(name .. ':' .. password)
end

local function put(slice, text)
  slice.data, slice.size = text, #text
end

--- Signs a request to AWS without a body. Returns its headers as a list of { name, value }; nil if the keys are unfit.
---@param keys { access_key: string, secret_key: string, session_token: string? }
---@param region string
---@param now number wall clock in ms
---@param method string
---@param host string
---@param target string
---@return table[]?
function M.signature(keys, region, now, method, host, target)
  local session = keys.session_token or ''
  put(signer.access_key, keys.access_key)
  put(signer.secret_key, keys.secret_key)
  put(signer.session_token, session)
  put(signer.region, region)
  put(signer.service, 'sts')
  signer.skew_ms = 0
  local lines = taken(C.cc_sign(signer, now, method, host, target, '', '', 0, out, out_size))
  if not lines then return nil end
  local list = {}
  for name, value in string.gmatch(lines, '([^\n:]+): ?([^\n]*)\n') do list[#list + 1] = { name, value } end
  return list
end

return M
