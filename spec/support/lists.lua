-- SPDX-License-Identifier: Apache-2.0
-- Some providers with models, and a GET request to the relay in front of them, for the specs of endpoints.
local stage = require 'support.stage'

local PROVIDERS = {
  { name = 'anthropic', type = 'anthropic', keys = { { key = 'CANARY-a' } },
    models = { 'claude-opus-5-5', 'claude-haiku-5-5' } },
  { name = 'zai', type = 'zai', keys = { { key = 'CANARY-z' } }, models = { 'GLM-4.7', 'claude-opus-5-5' },
    model_mapping = { ['claude-sonnet-4-5'] = 'GLM-4.7', ['claude-3*'] = 'GLM-4.5', ['a model/x'] = 'GLM-4.7' } },
  { name = 'off', type = 'zai', enabled = false, keys = { { key = 'CANARY-o' } }, models = { 'hidden' } },
}

--- Sends a GET request to a new relay.
---@param path string
---@param more table? further fields of the request
---@return table answer
---@return table exchange
---@return table stage
local function get(path, more)
  local request = { method = 'GET', path = path }
  for name, value in pairs(more or {}) do request[name] = value end
  local self = stage.new { providers = PROVIDERS }
  local answer, exchange = self:request(request)
  return answer, exchange, self
end

return { PROVIDERS = PROVIDERS, get = get }
