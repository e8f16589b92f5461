-- SPDX-License-Identifier: Apache-2.0
-- ccrelay config: validates, shows and begins configurations, and prints their schema.
local config_loader = require 'ccrelay.cli.config_loader'
local claude_code = require 'ccrelay.cli.config_cc'
local config = require 'ccrelay.config'
local lists = require 'ccrelay.util.lists'
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
       ccrelay config cc init [--config F] [--url URL] [--client NAME] [--key yes|no]
                                               make Claude Code use the relay
       ccrelay config cc remove                undo that
       ccrelay config cc key [--config F] [--client NAME]
                                               print the key that Claude Code sends

Without --config, the first of these files is used: ./config.yaml, ./config.toml, config.yaml and
config.toml in $XDG_CONFIG_HOME/ccrelay (or ~/.config/ccrelay), then in /etc/ccrelay; the file that
$CC_RELAY_CONFIG names; config.yaml and config.toml in ~/.config/cc-relay. If there is none, the
built-in configuration is used.

  --insecure-permissions   accept a file that others can write to

init writes anthropic, ollama, and the providers whose variables are set: ZAI_API_KEY, MINIMAX_API_KEY; of AWS
credentials and AWS_REGION; GOOGLE_CLOUD_PROJECT or ANTHROPIC_VERTEX_PROJECT_ID; credentials of Azure and
ANTHROPIC_FOUNDRY_RESOURCE. It names the variables as ${NAME} and never writes their values.

cc init edits settings.json in $CLAUDE_CONFIG_DIR (or ~/.claude): it sets env.ANTHROPIC_BASE_URL, and leaves
everything else as it is. A copy from before is kept beside it as settings.json.before-ccrelay. cc remove
takes out what init wrote and puts back what stood there; what you have changed since is kept. If nothing
has changed, the file is the same as before init, byte for byte.

If the configuration asks clients for a key (section server.auth), cc init also sets apiKeyHelper, a command
that Claude Code runs when it needs the key: ccrelay config cc key. So no secret is written to settings.json,
which often ends up in a repository or a backup, and a changed key is used without another init. The key is
read from the configuration; if that says ${NAME}, Claude Code must be started with NAME in its environment.
ANTHROPIC_AUTH_TOKEN and ANTHROPIC_API_KEY in its environment or its settings win over apiKeyHelper. With
server.auth.allow_subscription it is left out, so that a Claude subscription can be used; --key yes sets it.

  --url URL                address of the relay, instead of that of server.listen
  --client NAME            the key of this client of server.auth.clients, instead of the first in server.auth
  --key yes|no             set apiKeyHelper, or leave it out
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
  local text, notes = config.init_text(values.format or by_name or 'yaml', os.getenv)
  for _, note in ipairs(notes) do io.stderr:write(note, '\n') end
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

-- The options of each sub-command; "cc" has sub-commands of its own.
M.verbs = {
  validate = config_loader.options,
  show = config_loader.options,
  init = { { name = 'format', type = 'choice', of = { 'yaml', 'toml' } }, { name = 'output', type = 'text' } },
  schema = { { name = 'format', type = 'choice', of = { 'json', 'markdown' } } },
  cc = claude_code.verbs,
}

local function find(names, name, shown)
  if not name then return nil, ('the command is missing: %s'):format(shown) end
  if names[name] then return names[name] end
  local near = fault.nearest(name, lists.names(names))
  local hint = near and ('; did you mean "%s"?'):format(near) or ''
  return nil, ('unknown command "%s"%s'):format(fault.printable(name), hint)
end

function M.run(arguments)
  local name, first = arguments[1], 2
  local specs, message = find(M.verbs, name, 'validate, show, init, schema or cc')
  local verb = verbs[name]
  if name == 'cc' then
    name, first = arguments[2], 3
    specs, message = find(claude_code.verbs, name, 'cc init, cc remove or cc key')
    verb = claude_code[name]
  end
  if not specs then return options.misuse('config', message) end
  local values, wrong = options.parse({ unpack(arguments, first) }, specs, 0)
  if not values then return options.misuse('config', wrong) end
  return verb(values)
end

return M
