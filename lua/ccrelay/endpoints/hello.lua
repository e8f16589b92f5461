-- SPDX-License-Identifier: Apache-2.0
-- GET|HEAD /api/hello: asked by Claude Code at its start, without a credential.
local respond = require 'ccrelay.exchange.respond'

local M = {}

---@param exchange ccrelay.Exchange
function M.serve(exchange)
  respond.json(exchange, { message = 'hello' })
end

return M
