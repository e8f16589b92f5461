-- SPDX-License-Identifier: Apache-2.0
-- ccrelay help: lists the commands, or prints how one of them is used.
local ffi = require 'ffi'
local C = require 'ccrelay.c'
local options = require 'ccrelay.cli.options'

local M = {}

M.summary = 'show the commands, or how to use one'
M.usage = [[
usage: ccrelay help [COMMAND]
       ccrelay help --man

Shows all commands, or how to use one of them.

  --man                    print the manual page: ccrelay help --man | man -l -
]]

M.options = { { name = 'man', type = 'flag' } }

-- The names of commands.
function M.takes()
  return require('ccrelay.cli').verbs()
end

--- Returns the list of commands with their summaries.
---@return string
function M.overview()
  local cli = require 'ccrelay.cli'
  local lines = { 'usage: ccrelay COMMAND [OPTIONS]', '' }
  for _, name in ipairs(cli.verbs()) do
    lines[#lines + 1] = ('  %-10s %s'):format(name, require('ccrelay.cli.commands.' .. name).summary)
  end
  lines[#lines + 1] = '\nccrelay help COMMAND shows how to use a command.\n'
  return table.concat(lines, '\n')
end

function M.run(arguments)
  local values, rest = options.parse(arguments, M.options, 1)
  if not values then return options.misuse('help', rest) end
  if values.man then
    local page = require('ccrelay.cli.manual').page
    io.stdout:write(page(require('ccrelay.cli.command_tree').nodes(), ffi.string(C.cc_version())))
    return options.codes.ok
  end
  if not rest[1] then
    io.stdout:write(M.overview())
    return options.codes.ok
  end
  local verb, message = require('ccrelay.cli').verb(rest[1])
  if not verb then return options.misuse('help', message) end
  io.stdout:write(verb.usage)
  return options.codes.ok
end

return M
