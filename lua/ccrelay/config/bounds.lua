-- SPDX-License-Identifier: Apache-2.0
-- Passes the bounds and deadlines of the configuration, and the trusted proxies, to C.
local ffi = require 'ffi'
local C = require 'ccrelay.c'

local M = {}

--- Applies the configuration's bounds to everything that starts from now on.
---@param relay ffi.cdata*
---@param configuration table
function M.apply(relay, configuration)
  local settings = ffi.new 'struct cc_settings'
  local server = configuration.server
  settings.content_ms, settings.idle_ms, settings.total_ms = server.timeout_ms, server.idle_ms, server.total_ms
  settings.body_bytes = server.max_body_bytes
  settings.idle_connections = server.max_idle_connections
  C.cc_configure(relay, settings)
  local proxies = table.concat(server.trusted_proxies or {}, ' ')
  C.cc_trust_proxies(relay, proxies, #proxies)
end

return M
