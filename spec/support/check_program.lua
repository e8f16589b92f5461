-- SPDX-License-Identifier: Apache-2.0
-- Runs `ccrelay check` as a program, in a folder that exists during a block of tests.
local helper = require 'support.config_helper'

local M = {}

--- A configuration with three providers.
M.PAGE = [[
providers:
  - {name: ollama, type: ollama, keys: [{key: ollama, priority: 0}], models: ["qwen3:8b"],
     model_mapping: {"claude-haiku-3-5": "qwen3:8b", "claude-haiku-3-5-20241022": "qwen3:8b"}}
  - {name: zai, type: zai, keys: [{key: "${Z}", priority: 1}, {key: "${Z}2", priority: 1}], models: ["GLM-4.7"],
     model_mapping: {"claude-haiku-3-5": "GLM-4.5-Air", "claude-haiku-3-5-20241022": "GLM-4.5-Air"}}
  - {name: anthropic, type: anthropic, keys: [{key: "${A}", priority: 2}], models: ["claude-opus-4-5-20250514"]}
]]

local function program()
  return os.getenv 'CCRELAY_BIN' or (os.getenv 'CCRELAY_LIB':gsub('libccrelay%.so$', 'ccrelay'))
end

local folder, root

--- Makes the folder; for setup.
function M.start()
  folder = helper.folder()
  local pipe = assert(io.popen 'pwd')
  root = pipe:read '*l'
  pipe:close()
end

--- Removes the folder; for teardown.
function M.stop() helper.remove(folder) end

--- Runs the command.
---@param configuration string
---@param arguments string?
---@param policy string? text of a policy to check
---@return integer code, string out, string err
function M.run(configuration, arguments, policy)
  helper.write(folder .. '/c.yaml', configuration)
  if policy then helper.write(folder .. '/mine.lua', policy) end
  local command = 'cd %s && CCRELAY_ROOT=%s A=a Z=z timeout 60 %s check %s %s --config c.yaml >out 2>err; echo $?'
  local pipe = assert(io.popen(command:format(folder, root, program(), policy and 'mine.lua' or '', arguments or '')))
  local code = tonumber(pipe:read '*a')
  pipe:close()
  return code, helper.read(folder .. '/out'), helper.read(folder .. '/err')
end

--- Asserts that a text has a part.
---@param text string
---@param part string
function M.has(text, part)
  assert(text:find(part, 1, true), text)
end

return M
