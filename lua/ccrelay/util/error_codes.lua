-- SPDX-License-Identifier: Apache-2.0
-- Classes of the error codes of C (enum cc_error).
local C = require 'ccrelay.c'

local M = {}

local BY_CLIENT = { [C.CC_ECANCELLED] = true, [C.CC_ECLIENT_GONE] = true }
local TIMEOUTS = {
  [C.CC_ECONNECT_TIMEOUT] = true, [C.CC_EHEAD_TIMEOUT] = true, [C.CC_EIDLE_TIMEOUT] = true,
  [C.CC_EWRITE_TIMEOUT] = true, [C.CC_ETOTAL_TIMEOUT] = true, [C.CC_EGATE_TIMEOUT] = true,
}

--- Tells whether the client, or the relay on its behalf, ended the exchange.
---@param code integer
---@return boolean
function M.is_by_client(code)
  return BY_CLIENT[code] or false
end

--- Tells whether an attempt has timed out.
---@param code integer
---@return boolean
function M.is_timeout(code)
  return TIMEOUTS[code] or false
end

--- Tells whether an attempt ended without fault of its upstream: by the client, or by the deadline of the exchange.
---@param code integer
---@return boolean
function M.is_neutral(code)
  return M.is_by_client(code) or code == C.CC_ETOTAL_TIMEOUT
end

return M
