-- SPDX-License-Identifier: Apache-2.0
-- The command line: finds a command in ccrelay/cli/commands/ and runs it. Each file there is one command.
local config = require 'ccrelay.config'
local fault = require 'ccrelay.util.fault'
local file = require 'ccrelay.config.file'
local options = require 'ccrelay.cli.options'

local M = {}

local aliases = { serve = 'run', ['--version'] = 'version', ['-v'] = 'version', ['--help'] = 'help', ['-h'] = 'help' }

---@class ccrelay.Verb
---@field summary string one line for the list of commands
---@field usage string the help text
---@field options ccrelay.Option[]? what it takes besides --help
---@field verbs table<string, table>? sub-commands by name: a list of options, or sub-commands by name
---@field takes (fun(): string[])? values of its plain argument, for completion
---@field takes_files boolean? its plain argument may be a file
---@field run fun(arguments: string[]): integer takes the arguments after the command, returns the exit code

local function load_verb(name)
  return require('ccrelay.cli.commands.' .. name)
end

--- Returns the names of all commands, sorted.
---@return string[]
function M.verbs()
  return file.scripts(config.root() .. '/lua/ccrelay/cli/commands')
end

--- Returns the command of a name or alias.
---@param name string
---@return ccrelay.Verb? verb nil if there is none
---@return string name_or_message the command's name, or what to tell the user
function M.verb(name)
  name = aliases[name] or name
  local names = M.verbs()
  for _, known in ipairs(names) do
    if known == name then return load_verb(name), name end
  end
  local near = fault.nearest(name, names)
  local hint = near and ('; did you mean "%s"?'):format(near) or ''
  return nil, ('unknown command "%s"%s'):format(fault.printable(name), hint)
end

local function dispatch(arguments)
  if #arguments == 0 then
    io.stderr:write(load_verb('help').overview())
    return options.codes.usage
  end
  local verb, name = M.verb(arguments[1])
  if not verb then
    io.stderr:write('ccrelay: ', name, '\nccrelay help shows all commands\n')
    return options.codes.usage
  end
  local rest = {}
  for i = 2, #arguments do rest[i - 1] = arguments[i] end
  if options.wants_help(rest) then
    io.stdout:write(verb.usage)
    return options.codes.ok
  end
  return verb.run(rest)
end

--- Runs a command line.
--- An error of a command is printed with its traceback, and the exit code is 1.
---@param arguments string[] without the name of the program
---@return integer exit_code
function M.main(arguments)
  local ok, result = xpcall(dispatch, debug.traceback, arguments)
  if ok then return result end
  io.stderr:write('ccrelay: ', tostring(result), '\n')
  return options.codes.failure
end

return M
