-- SPDX-License-Identifier: Apache-2.0
-- ccrelay completion: prints the completion script of a shell.
local command_tree = require 'ccrelay.cli.command_tree'
local completion = require 'ccrelay.cli.completion'
local fault = require 'ccrelay.util.fault'
local options = require 'ccrelay.cli.options'

local M = {}

M.summary = 'print a script that completes commands and options in a shell'
M.usage = [[
usage: ccrelay completion bash|zsh|fish

Prints a script that completes commands, options and their values. The package installs it; without the
package, load it in the file that the shell reads at its start:

  eval "$(ccrelay completion bash)"       in ~/.bashrc
  eval "$(ccrelay completion zsh)"        in ~/.zshrc, after compinit
  ccrelay completion fish | source        in ~/.config/fish/config.fish
]]

local SHELLS = { 'bash', 'zsh', 'fish' }

-- The names of shells.
function M.takes()
  return SHELLS
end

function M.run(arguments)
  local values, rest = options.parse(arguments, {}, 1)
  if not values then return options.misuse('completion', rest) end
  for _, shell in ipairs(SHELLS) do
    if shell == rest[1] then
      io.stdout:write(completion[shell](command_tree.nodes()))
      return options.codes.ok
    end
  end
  return options.misuse('completion', rest[1] and ('found "%s", expected %s'):format(fault.printable(rest[1]),
    fault.either(SHELLS)) or 'the shell is missing: ' .. fault.either(SHELLS))
end

return M
