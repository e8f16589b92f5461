-- SPDX-License-Identifier: Apache-2.0
-- ccrelay version: prints the versions of ccrelay and of its libraries.
local ffi = require 'ffi'
local C = require 'ccrelay.c'
local options = require 'ccrelay.cli.options'

local M = {}

M.summary = 'show the version of ccrelay and its libraries'
M.usage = [[
usage: ccrelay version

Shows the version of ccrelay and of the libraries it uses.
]]

function M.run(arguments)
  local values, message = options.parse(arguments, {}, 0)
  if not values then return options.misuse('version', message) end
  io.stdout:write('ccrelay ', ffi.string(C.cc_version()), '\n', ffi.string(C.cc_libraries()), '\n')
  return options.codes.ok
end

return M
