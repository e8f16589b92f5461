-- SPDX-License-Identifier: Apache-2.0
-- Shared by the specs of the configuration: temporary files, a folder with empty adapters and policies, and loading
-- with given environment variables and faults as text.
local config = require 'ccrelay.config'

local M = {}

local function shell(command)
  assert(os.execute(command) == 0 or os.execute(command) == true, command)
end

--- Makes a new empty folder. The caller removes it with M.remove.
---@return string
function M.folder()
  local name = os.tmpname()
  os.remove(name)
  shell('mkdir -p ' .. name)
  return name
end

---@param folder string
function M.remove(folder)
  shell('rm -rf ' .. folder)
end

---@param path string
---@param text string
function M.write(path, text)
  local file = assert(io.open(path, 'wb'))
  assert(file:write(text))
  file:close()
end

---@param path string
---@return string?
function M.read(path)
  local file = io.open(path, 'rb')
  if not file then return nil end
  local text = file:read '*a'
  file:close()
  return text
end

local tree

-- Removes the tree at the end. busted loads this module anew for each file, so there is more than one tree.
local at_end = newproxy(true)
getmetatable(at_end).__gc = function()
  if tree then M.remove(tree) end
end
M.at_end = at_end

--- Returns a folder with an empty file for each provider type and strategy. It is made once.
---@return string
function M.tree()
  if tree then return tree end
  tree = M.folder()
  shell(('mkdir %s/providers %s/policies'):format(tree, tree))
  for _, name in ipairs { 'anthropic', 'zai', 'minimax', 'ollama', 'azure', 'bedrock', 'vertex' } do
    M.write(tree .. '/providers/' .. name .. '.lua', '')
  end
  local policies = { 'failover', 'round_robin', 'weighted_round_robin', 'shuffle', 'model_based', 'least_loaded' }
  for _, name in ipairs(policies) do M.write(tree .. '/policies/' .. name .. '.lua', '') end
  return tree
end

--- Loads a configuration with only the given variables set.
---@param text string
---@param format string?
---@param variables table<string, string>?
---@param more table?
---@return table? configuration, table warnings_or_faults
function M.load(text, format, variables, more)
  local options = { text = text, format = format or 'yaml', dir = M.tree() }
  options.env = function(name) return variables and variables[name] end
  for name, value in pairs(more or {}) do options[name] = value end
  return config.load(options)
end

--- Returns the faults of a configuration, one a line; "" if it has none.
---@return string
function M.faults(text, format, variables, more)
  local configuration, list = M.load(text, format, variables, more)
  if configuration then return '' end
  local lines = {}
  for i, fault in ipairs(list) do lines[i] = config.text(fault) end
  return table.concat(lines, '\n')
end

--- Loads a configuration. Fails if it has a fault.
---@return table configuration, table warnings
function M.good(text, format, variables, more)
  local configuration, list = M.load(text, format, variables, more)
  if not configuration then error('refused: ' .. config.text(list[1]), 2) end
  return configuration, list
end

return M
