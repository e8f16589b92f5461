-- SPDX-License-Identifier: Apache-2.0
-- GET|HEAD /api/hello: asked by Claude Code at its start, without a credential.
local answer = require 'ccrelay.exchange.respond'

local M = {}

---@param exchange ccrelay.Exchange
function M.serve(exchange)
  answer.json(exchange, { message = 'hello' })
end

return M
