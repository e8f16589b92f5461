-- SPDX-License-Identifier: Apache-2.0
-- Registers an origin with C: a host and port to connect to, with or without TLS, directly or through a proxy.
local C = require 'ccrelay.c'
local ffi = require 'ffi'
local slice = require 'ccrelay.util.slice'

local M = {}

local DIRECT = { host = '', port = 0, auth = '' }

local spec = ffi.new 'struct cc_origin'

---@class ccrelay.OriginOptions
---@field proxy ccrelay.Proxy? nil: directly
---@field ca_file string? certificates to trust instead of the system's
---@field allow_public_http boolean? whether plain HTTP to a public address is allowed

--- Returns the number of an origin in this process. The same origin always has the same number.
---@param relay ffi.cdata*
---@param url ccrelay.Url
---@param options ccrelay.OriginOptions
---@return integer? origin
---@return string? message
function M.number(relay, url, options)
  local through, ca_file = options.proxy or DIRECT, options.ca_file or ''
  spec.tls, spec.allow_public_http = url.scheme == 'https', options.allow_public_http or false
  slice.put(spec.host, url.host)
  spec.port = url.port
  slice.put(spec.ca_file, ca_file)
  slice.put(spec.proxy_host, through.host)
  spec.proxy_port = through.port
  slice.put(spec.proxy_auth, through.auth)
  local number = C.cc_origin(relay, spec)
  if number < 0 then return nil, ffi.string(C.cc_error_text(number)) end
  return number
end

return M
