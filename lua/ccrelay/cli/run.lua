-- SPDX-License-Identifier: Apache-2.0
local ffi = require 'ffi'
local C = require 'ccrelay.c'
local command = require 'ccrelay.config.command'
local master = require 'ccrelay.master'
local options = require 'ccrelay.cli.options'
local source = require 'ccrelay.source'
local trial = require 'ccrelay.trial'

local M = {}

M.summary = 'relay requests (also: serve)'
M.usage = [[
usage: ccrelay run [POLICY.lua] [--config F] [--listen ADDRESS] [--log-level LEVEL] [--watch yes|no]

Serves clients of the Anthropic Messages API. POLICY.lua decides which provider gets a request;
without it routing.strategy of the configuration names one of policies/. When a file changes, the
next request runs the new one; a file with a fault changes nothing.

  --config F               the configuration, .yaml or .toml (else the usual places: see help config)
  --listen ADDRESS         host:port, [v6]:port or unix:/path in place of server.listen; may be repeated
  --log-level LEVEL        debug, info, warn or error
  --watch yes|no           whether changed files are taken over by themselves (yes); SIGHUP always does
  --insecure-permissions   take files even if others may write to them

SIGTERM or Ctrl-C: running requests are finished; a second one ends them.
Exit codes: 0 ended, 1 failure, 64 usage, 69 address taken, 78 configuration.
]]

local specs = {
  { name = 'config', type = 'text' },
  { name = 'listen', type = 'text', many = true },
  { name = 'log-level', type = 'choice', of = { 'debug', 'info', 'warn', 'error' } },
  { name = 'watch', type = 'choice', of = { 'yes', 'no' } },
  { name = 'insecure-permissions', type = 'flag' },
}

--- Builds the first generation and runs it. Faults go to stderr.
---@param run ccrelay.RunOptions
---@return integer exit_code
function M.start(run)
  local bundle, faults = source.read(run)
  if not bundle then
    command.tell(faults)
    return options.codes.configuration
  end
  local generation, notes = trial.build_first(function() return source.build(bundle, run) end)
  command.tell(notes, generation and 'warning: ' or nil)
  if not generation then return options.codes.configuration end
  local output = generation.configuration.logging.output
  if C.cc_log_open(output) ~= C.CC_OK then
    io.stderr:write('logging.output: ', ffi.string(C.cc_system_error()), '\n')
    return options.codes.configuration
  end
  local code, reason = master.run(run, bundle, generation)
  if reason then io.stderr:write('ccrelay: ', reason, '\n') end
  return code
end

function M.run(arguments)
  local values, rest = options.parse(arguments, specs, 1)
  if not values then return options.misuse('run', rest) end
  return M.start {
    config = values.config,
    policy = rest[1],
    listen = values.listen,
    log_level = values.log_level,
    watch = values.watch ~= 'no',
    insecure = values.insecure_permissions or false,
  }
end

return M
