-- SPDX-License-Identifier: Apache-2.0
-- What credential schemes see of the machine: variables, files, the clock.
local C = require 'ccrelay.c'
local file = require 'ccrelay.config.file'

local M = {}

local MOST_BYTES = 1024 * 1024

---@class ccrelay.Surroundings
---@field env fun(name: string): string?
---@field read fun(path: string): string?, string? a regular file whole, or nil and why not
---@field time fun(): number wall clock in milliseconds

local function read(path)
  return file.read(path, { limit = MOST_BYTES, insecure = true })
end

--- The context of a process with these variables.
---@param env fun(name: string): string?
---@return ccrelay.Surroundings
function M.new(env)
  return { env = env, read = read, time = function() return C.cc_time() end }
end

return M
