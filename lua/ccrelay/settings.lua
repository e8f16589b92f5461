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
  C.cc_settings(relay, settings)
  settings.total_ms = configuration.server.timeout_ms
  settings.body_bytes = configuration.server.max_body_bytes
  C.cc_configure(relay, settings)
end

return M
