-- SPDX-License-Identifier: Apache-2.0
-- GET|HEAD /health: 200 whenever the relay accepts work.
local answer = require 'ccrelay.exchange.respond'

local M = {}

---@param exchange ccrelay.Exchange
function M.serve(exchange)
  answer.json(exchange, { status = 'ok' })
end

return M
