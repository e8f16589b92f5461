-- SPDX-License-Identifier: Apache-2.0
-- ccrelay check: reports the faults of a configuration, its adapters and its policy, and prints which upstreams are
-- tried for which model. It loads files in a child process first and starts nothing.
local config_loader = require 'ccrelay.cli.config_loader'
local options = require 'ccrelay.cli.options'

local M = {}

M.summary = 'check configuration, adapters and policy without starting'
M.usage = [[
usage: ccrelay check [POLICY.lua] [--config F] [--model NAME]

Loads what a start would load and reports every fault: the configuration, the adapters of its
providers, and the policy (POLICY.lua, or the one that routing.strategy names). Then runs the policy
against made-up requests, and prints which upstreams are tried for which model, in order, when all
of them are healthy. Opens no socket and contacts no provider.

  --config F               the configuration; else the first file found, see ccrelay help config
  --model NAME             print only which upstreams are tried for this model
  --insecure-permissions   accept files that others can write to

A fault of the policy with a made-up request is a warning: a start accepts the policy.
]]

M.takes_files = true
M.options = { config_loader.options[1], { name = 'model', type = 'text' }, config_loader.options[2] }

local function build(wanted)
  local source = require 'ccrelay.generation.bundle'
  local bundle, faults = source.read(wanted)
  if not bundle then return nil, faults end
  local trial = require 'ccrelay.process.preflight'
  local built, notes = trial.build_first(function() return source.build(bundle, wanted) end)
  return built and bundle, notes, built
end

local function rehearse(bundle, wanted)
  local rehearsal = require 'ccrelay.testing.rehearsal'
  return require('ccrelay.process.preflight').rehearse_first(function() return rehearsal.run(bundle, wanted) end)
end

local function tell_never_asked(generation)
  local never = require('ccrelay.cli.model_table').never_asked(generation)
  local notes = {}
  for index, provider in ipairs(never) do
    notes[index] = { file = generation.configuration.source, path = 'providers.' .. provider.name,
      message = 'is never tried: its serves excludes every model that it has' }
  end
  config_loader.tell(notes, 'warning: ')
end

local function tell_table(generation)
  io.stdout:write(('upstreams tried for each model, in order (%s):\n'):format(generation.strategy))
  for _, line in ipairs(require('ccrelay.cli.model_table').lines(generation)) do io.stdout:write(line, '\n') end
end

function M.run(arguments)
  local values, rest = options.parse(arguments, M.options, 1)
  if not values then return options.misuse('check', rest) end
  local wanted = { config = values.config, policy = rest[1], insecure = values.insecure_permissions or false,
    watch = false }
  local bundle, notes, built = build(wanted)
  config_loader.tell(notes, bundle and 'warning: ' or nil)
  if not bundle then return options.codes.configuration end
  if values.model then
    io.stdout:write(require('ccrelay.cli.model_table').row(built, values.model), '\n')
    return options.codes.ok
  end
  config_loader.tell(rehearse(bundle, wanted), 'warning: ')
  tell_never_asked(built)
  io.stdout:write(bundle.config and bundle.config.path or 'built-in configuration', ': valid\n')
  if rest[1] then io.stdout:write(rest[1], ': valid\n') end
  tell_table(built)
  return options.codes.ok
end

return M
