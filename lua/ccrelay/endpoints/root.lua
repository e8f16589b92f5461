-- SPDX-License-Identifier: Apache-2.0
-- GET|HEAD /: the connectivity probe of clients.
local C = require 'ccrelay.c'
local respond = require 'ccrelay.exchange.respond'
local ffi = require 'ffi'

local M = {}

---@param exchange ccrelay.Exchange
function M.serve(exchange)
  respond.json(exchange, { name = 'ccrelay', version = ffi.string(C.cc_version()) })
end

return M
