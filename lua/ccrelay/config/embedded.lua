-- SPDX-License-Identifier: Apache-2.0
-- The built-in configuration, for a relay without a configuration file.
local M = {}

local function is_set(env, name)
  local value = env(name)
  return value ~= nil and value ~= ''
end

--- Returns the configuration as a table. It has zai only if the key of zai is set.
---@param env fun(name: string): string?
---@return table
function M.data(env)
  local providers = { { name = 'anthropic', type = 'anthropic' } }
  if is_set(env, 'ANTHROPIC_API_KEY') then
    providers[1].keys = { { key = '${ANTHROPIC_API_KEY}', priority = 2 } }
  end
  if is_set(env, 'ZAI_API_KEY') then
    providers[2] = { name = 'zai', type = 'zai', keys = { { key = '${ZAI_API_KEY}', priority = 1 } } }
  end
  providers[#providers + 1] = {
    name = 'ollama', type = 'ollama', base_url = 'http://localhost:11434', keys = { { key = 'ollama', priority = 0 } },
  }
  return {
    server = { listen = '127.0.0.1:8787', auth = { allow_subscription = true } },
    providers = providers,
  }
end

return M
