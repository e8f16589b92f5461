-- SPDX-License-Identifier: Apache-2.0
-- ccrelay doctor: finds what keeps a relay from working, and says how to fix it.
local config_loader = require 'ccrelay.cli.config_loader'
local options = require 'ccrelay.cli.options'

local M = {}

M.summary = 'find what keeps the relay from working, and how to fix it'
M.usage = [[
usage: ccrelay doctor [POLICY.lua] [--config F] [--offline] [--json]

Checks the configuration, permissions of files, addresses to listen on, the running relay, the settings
of Claude Code, the credentials of each provider, and whether each provider can be reached. Then starts
a second relay with the same policy and a mock provider on loopback, and checks that everything Claude
Code relies on comes through it. Each finding says what is wrong, where, and how to fix it.

It costs nothing: providers are asked only for lists of models or counts of tokens, which are free of
charge. Secrets are never shown.

  --config F               the configuration; else the first file found, see ccrelay help config
  --offline                contact no other machine
  --json                   print the findings as JSON
  --insecure-permissions   accept files that others can write to

Exit codes: 0 no findings, 1 findings, 64 usage.
]]

M.takes_files = true
M.options = {
  config_loader.options[1], { name = 'offline', type = 'flag' }, { name = 'json', type = 'flag' },
  config_loader.options[2],
}

function M.run(arguments)
  local values, rest = options.parse(arguments, M.options, 1)
  if not values then return options.misuse('doctor', rest) end
  local report = require 'ccrelay.cli.doctor.report'
  local results = require('ccrelay.cli.doctor').run {
    config = values.config, policy = rest[1], insecure = values.insecure_permissions or false,
    offline = values.offline or false,
  }
  io.stdout:write(values.json and report.json(results) or report.text(results))
  return report.count(results) == 0 and options.codes.ok or options.codes.failure
end

return M
