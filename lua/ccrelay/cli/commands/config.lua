-- SPDX-License-Identifier: Apache-2.0
-- ccrelay config: validates, shows and begins configurations, and prints their schema.
local config_loader = require 'ccrelay.cli.config_loader'
local config = require 'ccrelay.config'
local fault = require 'ccrelay.util.fault'
local json = require 'ccrelay.util.json'
local options = require 'ccrelay.cli.options'

local M = {}

M.summary = 'create, check or show a configuration'
M.usage = [[
usage: ccrelay config validate [--config F]    check a configuration and report every fault
       ccrelay config show [--config F]        print the effective configuration as JSON, secrets masked
       ccrelay config init [--format yaml|toml] [--output F]
                                               print a commented starter file, or write it to a new file
       ccrelay config schema [--format json|markdown]
                                               print a JSON Schema for editors, or a table of all keys

Without --config, the first of these files is used: ./config.yaml, ./config.toml, config.yaml and
config.toml in $XDG_CONFIG_HOME/ccrelay (or ~/.config/ccrelay), then in /etc/ccrelay; the file that
$CC_RELAY_CONFIG names; config.yaml and config.toml in ~/.config/cc-relay. If there is none, the
built-in configuration is used.

  --insecure-permissions   accept a file that others can write to
]]

local codes = options.codes
local verbs = {}

function verbs.validate(values)
  local configuration = config_loader.load(values)
  if not configuration then return codes.configuration end
  io.stdout:write(configuration.source, ': valid\n')
  return codes.ok
end

function verbs.show(values)
  local configuration, adapters = config_loader.load(values)
  if not configuration then return codes.configuration end
  io.stdout:write(config.effective_json(configuration, adapters), '\n')
  return codes.ok
end

local function create(path, text)
  local present = io.open(path, 'r')
  if present then
    present:close()
    return nil, path .. ' already exists'
  end
  local out, message = io.open(path, 'w')
  if not out then return nil, message end
  local ok = out:write(text) and out:close()
  return ok, 'cannot write ' .. path
end

function verbs.init(values)
  local by_name = values.output and values.output:match '%.toml$' and 'toml'
  local text = config.init_text(values.format or by_name or 'yaml')
  if not values.output then
    io.stdout:write(text)
    return codes.ok
  end
  local ok, message = create(values.output, text)
  if ok then return codes.ok end
  io.stderr:write('ccrelay config init: ', message, '\n')
  return codes.failure
end

function verbs.schema(values)
  local adapters, faults = config_loader.adapters(values)
  if not adapters then
    config_loader.tell(faults)
    return codes.configuration
  end
  local markdown = values.format == 'markdown'
  io.stdout:write(markdown and config.reference(adapters) or json.encode(config.json_schema(adapters)) .. '\n')
  return codes.ok
end

local specs = {
  validate = config_loader.options,
  show = config_loader.options,
  init = { { name = 'format', type = 'choice', of = { 'yaml', 'toml' } }, { name = 'output', type = 'text' } },
  schema = { { name = 'format', type = 'choice', of = { 'json', 'markdown' } } },
}

function M.run(arguments)
  local name = arguments[1]
  if not name then return options.misuse('config', 'the command is missing: validate, show, init or schema') end
  if not verbs[name] then
    local near = fault.nearest(name, { 'validate', 'show', 'init', 'schema' })
    local hint = near and ('; did you mean "%s"?'):format(near) or ''
    return options.misuse('config', ('unknown command "%s"%s'):format(fault.printable(name), hint))
  end
  local rest = {}
  for i = 2, #arguments do rest[i - 1] = arguments[i] end
  local values, message = options.parse(rest, specs[name], 0)
  if not values then return options.misuse('config', message) end
  return verbs[name](values)
end

return M
