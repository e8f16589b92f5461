-- SPDX-License-Identifier: Apache-2.0
-- Runs pieces of code in a policy with two providers, of which one is not enabled, for the specs of scripts.
local stage = require 'support.stage'

local M = {}

local PROVIDERS = {
  { name = 'main', type = 'anthropic', keys = { { key = 'sk-m' } } },
  { name = 'off', type = 'zai', enabled = false, keys = { { key = 'sk-o' } } },
}

--- Serves a request with a policy that contains code.
---@param code string in route, with exchange, relay and list
---@param on_done string? in on_done, with exchange and report
---@return table answer
---@return table stage
function M.run(code, on_done)
  local self = stage.new { providers = PROVIDERS, policy = ([[
local relay = require 'ccrelay'
return {
  route = function(exchange)
    local list = relay.upstreams(exchange)
    do %s end
    return exchange:first(list)
  end,
  on_done = function(exchange, report) %s end,
}]]):format(code, on_done or '') }
  local answer = self:request()
  return answer, self
end

--- Returns the error of a script that code causes, or "none".
---@param code string
---@param on_done string?
---@return string
function M.fault_of(code, on_done)
  local _, self = M.run(code, on_done)
  for _, line in ipairs(self.lines) do
    local text = line:match 'script error: policy.lua:%d+: (.-) id='
    if text then return text end
  end
  return 'none'
end

return M
