-- SPDX-License-Identifier: Apache-2.0
local command = require 'ccrelay.config.command'
local options = require 'ccrelay.cli.options'

local M = {}

M.summary = 'check configuration, adapters and policy without starting'
M.usage = [[
usage: ccrelay check [POLICY.lua] [--config F]

Reads what a start would read and tells every fault: the configuration, the adapters of its
providers, and the policy (the file given, or the one routing.strategy names). Opens no socket.

  --config F               the configuration; else the first of the usual places
  --insecure-permissions   take files even if others may write to them
]]

function M.run(arguments)
  local values, rest = options.parse(arguments, command.options, 1)
  if not values then return options.misuse('check', rest) end
  local source = require 'ccrelay.source'
  local insecure = values.insecure_permissions or false
  local wanted = { config = values.config, policy = rest[1], insecure = insecure, watch = false }
  local bundle, faults = source.read(wanted)
  local built, notes
  if bundle then
    built, notes = require('ccrelay.trial').build_first(function() return source.build(bundle, wanted) end)
    faults = notes
  end
  command.tell(faults, built and 'warning: ' or nil)
  if not built then return options.codes.configuration end
  io.stdout:write(bundle.config and bundle.config.path or 'embedded default', ': valid\n')
  if rest[1] then io.stdout:write(rest[1], ': valid\n') end
  return options.codes.ok
end

return M
