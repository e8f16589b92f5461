-- SPDX-License-Identifier: Apache-2.0
-- From configuration to the bounds and deadlines of the C side.
local ffi = require 'ffi'
local C = require 'ccrelay.c'

local M = {}

--- Puts the configuration's bounds in force for all that starts later.
---@param relay ffi.cdata*
---@param configuration table
function M.apply(relay, configuration)
  local settings = ffi.new 'struct cc_settings'
  local server = configuration.server
  settings.content_ms, settings.idle_ms, settings.total_ms = server.timeout_ms, server.idle_ms, server.total_ms
  settings.body_bytes = server.max_body_bytes
  C.cc_configure(relay, settings)
end

return M
