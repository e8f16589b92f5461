-- SPDX-License-Identifier: Apache-2.0
-- Loads the configuration for a command, and prints its faults to stderr.
local bundle = require 'ccrelay.generation.bundle'
local config = require 'ccrelay.config'
local stored_clients = require 'ccrelay.config.stored_clients'
local each = require 'ccrelay.util.each'

local M = {}

--- The options of every command that reads a configuration.
M.options = {
  { name = 'config', type = 'text' },
  { name = 'insecure-permissions', type = 'flag' },
}

--- Prints faults or warnings to stderr, one a line.
---@param list ccrelay.Fault[]
---@param prefix string?
function M.tell(list, prefix)
  for _, fault in ipairs(list) do io.stderr:write(prefix or '', config.text(fault), '\n') end
end

--- Loads the adapters in providers/. Returns nil and the faults if there are any.
---@param values {insecure_permissions: boolean?} parsed options
---@return table<string, table>? adapters, ccrelay.Fault[] faults
function M.adapters(values)
  return bundle.adapters(values.insecure_permissions or false)
end

--- Loads the configuration that --config names, or the first of the usual places. Prints warnings and faults to stderr.
---@param values {config: string?, insecure_permissions: boolean?} parsed options
---@param more ccrelay.LoadOptions? adapters, override, ...
---@return table? configuration nil after faults: the command must exit with code 78
---@return table<string, table>? adapters by type
function M.load(values, more)
  local adapters, faults = M.adapters(values)
  if not adapters then return M.tell(faults) end
  local options = {
    path = config.find(values.config), check_permissions = not values.insecure_permissions, adapters = adapters,
  }
  function options.stored_clients(folder) return stored_clients.read(folder, values.insecure_permissions) end
  for name, value in each(more or {}) do options[name] = value end
  local configuration, list = config.load(options)
  M.tell(list, configuration and 'warning: ' or nil)
  return configuration, options.adapters
end

return M
