-- SPDX-License-Identifier: Apache-2.0
-- Calls C for the cryptography of Google's credentials and returns Lua strings.
local C = require 'ccrelay.c'
local base64 = require 'ccrelay.util.base64'
local signer = require 'ccrelay.net.signer'
local slice = require 'ccrelay.util.slice'

local M = {}

--- Makes a JWT signed with RS256; nil if the key is not an RSA private key in PEM.
---@param key string PEM
---@param header string JSON
---@param claims string JSON
---@return string?
function M.jwt(key, header, claims)
  local code = C.cc_jwt(key, #key, header, #header, claims, #claims, slice.out, slice.out_size)
  return code == C.CC_OK and slice.taken() or nil
end

--- Returns the value of an Authorization header with the Basic scheme (RFC 7617).
---@param name string
---@param password string
---@return string
function M.basic(name, password)
  return 'Basic ' .. base64.encode(name .. ':' .. password)
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
  local from = { access_key = keys.access_key, secret_key = keys.secret_key, session_token = keys.session_token,
    region = region, service = 'sts' }
  local lines = signer.sign(from, now, { method = method, host = host, target = target, lines = '', body = '' })
  if not lines then return nil end
  local list = {}
  for name, value in string.gmatch(lines, '([^\n:]+): ?([^\n]*)\n') do list[#list + 1] = { name, value } end
  return list
end

return M
