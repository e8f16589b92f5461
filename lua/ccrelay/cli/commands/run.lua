-- SPDX-License-Identifier: Apache-2.0
-- ccrelay run: builds the first generation and runs the master until it ends.
local ffi = require 'ffi'
local C = require 'ccrelay.c'
local config_loader = require 'ccrelay.cli.config_loader'
local config = require 'ccrelay.config'
local fault = require 'ccrelay.util.fault'
local file = require 'ccrelay.config.file'
local master = require 'ccrelay.process.master'
local options = require 'ccrelay.cli.options'
local passed_sockets = require 'ccrelay.net.passed_sockets'
local source = require 'ccrelay.generation.bundle'
local preflight = require 'ccrelay.process.preflight'

local M = {}

M.summary = 'start the relay (also: serve)'
M.usage = [[
usage: ccrelay run [POLICY.lua | STRATEGY] [--config F] [--listen ADDRESS] [--log-level LEVEL] [--log-format FORMAT]
                   [--debug] [--watch yes|no]

Serves clients of the Anthropic Messages API. POLICY.lua decides which provider gets a request;
without it, STRATEGY or routing.strategy names a policy in policies/. When a file changes, the next
request uses the new one; a file with a fault changes nothing. A .yaml or .toml file in place of
POLICY.lua is used as --config.

  --config F               the configuration, .yaml or .toml; else the first file found, see ccrelay help config
  --listen ADDRESS         host:port, [v6]:port or unix:/path, instead of server.listen; may be repeated
  --log-level LEVEL        debug, info, warn or error
  --log-format FORMAT      text, json, or pretty (text with colors)
  --debug                  log level debug with all logging.debug_options, including the start of request bodies
  --watch yes|no           reload changed files automatically (default yes); SIGHUP always reloads
  --insecure-permissions   accept files that others can write to

Sockets that a service manager passes (systemd.socket(5)) serve clients instead of server.listen; one that
is named admin serves instead of admin.listen.

SIGTERM or Ctrl-C: finish running requests, then stop; a second one stops at once.
Exit codes: 0 stopped, 1 failure, 64 usage, 69 address in use, 78 configuration.
]]

M.takes_files = true

-- The names of strategies.
function M.takes()
  return file.scripts(config.root() .. '/policies')
end

M.options = {
  { name = 'config', type = 'text' },
  { name = 'listen', type = 'text', many = true },
  { name = 'log-level', type = 'choice', of = { 'debug', 'info', 'warn', 'error' } },
  { name = 'log-format', type = 'choice', of = { 'text', 'json', 'pretty' } },
  { name = 'debug', type = 'flag' },
  { name = 'watch', type = 'choice', of = { 'yes', 'no' } },
  { name = 'insecure-permissions', type = 'flag' },
}

--- Builds the first generation and runs it. Prints faults and warnings to stderr.
---@param run ccrelay.RunOptions
---@return integer exit_code
function M.start(run)
  local sockets, unusable = passed_sockets.take()
  if not sockets then
    io.stderr:write('ccrelay: ', unusable, '\n')
    return options.codes.configuration
  end
  run.sockets = sockets
  local bundle, faults = source.read(run)
  if not bundle then
    config_loader.tell(faults)
    return options.codes.configuration
  end
  local generation, notes = preflight.build_first(function() return source.build(bundle, run) end)
  config_loader.tell(notes, generation and 'warning: ' or nil)
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

--- Returns the settings of the section logging that the options override.
---@param values {debug: boolean?, log_level: string?, log_format: string?} parsed options
---@return table? logging settings by name; nil if there are none
function M.logging(values)
  local logging = {}
  if values.debug then
    logging.level = 'debug'
    logging.debug_options = { log_request_body = true, log_response_headers = true, log_tls_metrics = true }
  end
  logging.level = values.log_level or logging.level
  logging.format = values.log_format
  if values.log_format == 'pretty' then logging.format, logging.pretty = 'text', true end
  return next(logging) and logging or nil
end

local CONFIGURATIONS = { yaml = true, yml = true, toml = true }

local function strategy_of(name)
  local names = M.takes()
  for _, known in ipairs(names) do
    if known == name then return { strategy = name } end
  end
  local near = fault.nearest(name, names)
  return nil, ('"%s" is neither a policy (a .lua file), a configuration (.yaml, .toml) nor a strategy (%s)%s'):format(
    fault.printable(name), table.concat(names, ', '), near and '; did you mean "' .. near .. '"?' or '')
end

--- Decides what the argument of run is: a configuration if its extension is yaml, yml or toml, a strategy if it has no
--- dot and no slash, else the path of a policy.
---@param argument string?
---@param given string? the value of --config
---@return {config: string?, policy: string?, strategy: string?}? run nil if the argument is wrong
---@return string? message what is wrong
function M.what(argument, given)
  if not argument then return { config = given } end
  if CONFIGURATIONS[argument:match '%.(%a+)$'] then
    if not given then return { config = argument } end
    return nil, ('two configurations are given: "%s" and --config "%s"'):format(
      fault.printable(argument), fault.printable(given))
  end
  if argument:find '[./]' then return { config = given, policy = argument } end
  local found, message = strategy_of(argument)
  if found then found.config = given end
  return found, message
end

function M.run(arguments)
  local values, rest = options.parse(arguments, M.options, 1)
  if not values then return options.misuse('run', rest) end
  local what, message = M.what(rest[1], values.config)
  if not what then return options.misuse('run', message) end
  return M.start {
    config = what.config,
    policy = what.policy,
    strategy = what.strategy,
    listen = values.listen,
    logging = M.logging(values),
    watch = values.watch ~= 'no',
    insecure = values.insecure_permissions or false,
  }
end

return M
