-- SPDX-License-Identifier: Apache-2.0
-- GET /metrics of the admin listener: metrics in the text format of Prometheus, unless metrics.enabled is false.
local gauges = require 'ccrelay.server.gauges'
local metrics = require 'ccrelay.log.metrics'

local M = { type = metrics.TYPE }

---@param configuration table
---@return boolean
function M.is_on(configuration)
  return configuration.metrics.enabled
end

---@param master table
---@return string body
function M.answer(master)
  return metrics.text(gauges.of(master))
end

return M
