-- SPDX-License-Identifier: Apache-2.0
-- What credential schemes may use of the host: environment variables, files, the clock. Specs replace it.
local C = require 'ccrelay.c'
local file = require 'ccrelay.config.file'

local M = {}

local MOST_BYTES = 1024 * 1024

---@class ccrelay.Host
---@field env fun(name: string): string?
---@field read fun(path: string): string?, string? the text of a regular file of at most 1 MiB, or nil and why not
---@field time fun(): number returns the wall clock in milliseconds

local function read(path)
  return file.read(path, { limit = MOST_BYTES, insecure = true })
end

--- Makes the host of this process.
---@param env fun(name: string): string? returns an environment variable
---@return ccrelay.Host
function M.new(env)
  return { env = env, read = read, time = function() return C.cc_time() end }
end

return M
