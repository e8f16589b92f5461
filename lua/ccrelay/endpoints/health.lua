-- SPDX-License-Identifier: Apache-2.0
-- GET|HEAD /health: 200 whenever the relay accepts work.
local respond = require 'ccrelay.exchange.respond'

local M = {}

---@param exchange ccrelay.Exchange
function M.serve(exchange)
  respond.json(exchange, { status = 'ok' })
end

return M
