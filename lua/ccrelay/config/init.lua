-- SPDX-License-Identifier: Apache-2.0
-- Loads the configuration: finds, reads and checks it, and fills in defaults. It guarantees that a faulty configuration
-- is refused, with all of its faults.
local check = require 'ccrelay.config.check'
local describe = require 'ccrelay.config.describe'
local document = require 'ccrelay.config.document'
local each = require 'ccrelay.util.each'
local embedded = require 'ccrelay.config.embedded'
local fault = require 'ccrelay.util.fault'
local file = require 'ccrelay.config.file'
local json = require 'ccrelay.util.json'
local rules = require 'ccrelay.config.rules'
local schema = require 'ccrelay.config.schema'
local secret_file = require 'ccrelay.config.secret_file'
local slips = require 'ccrelay.config.slips'
local show = require 'ccrelay.config.show'
local stored_clients = require 'ccrelay.config.stored_clients'
require 'ccrelay.config.providers'

local M = {}

local parsers = {
  yaml = function(text) return require('ccrelay.config.yaml').parse(text) end,
  toml = function(text) return require('ccrelay.config.toml').parse(text) end,
}
parsers.yml = parsers.yaml

--- Returns the folder that holds lua/, providers/ and policies/.
---@return string
function M.root()
  return debug.getinfo(1, 'S').source:match '^@(.*)/lua/ccrelay/config' or '.'
end

local function known_types(root, adapters)
  local seen, list = {}, {}
  local function add(name)
    if not seen[name] then seen[name], list[#list + 1] = true, name end
  end
  for _, name in ipairs(file.scripts(root .. '/providers')) do add(name) end
  for name in each(adapters) do add(name) end
  table.sort(list)
  return list
end

local function refusal(name, line, message, path)
  return nil, { fault.new { file = name, line = line, path = path or '', message = message } }
end

local function unreadable(text)
  if #text > file.MOST_BYTES then return ('larger than %d bytes'):format(file.MOST_BYTES) end
  if text:find '^\254\255' or text:find '^\255\254' then return 'found UTF-16, expected UTF-8' end
  if text:find '%z' then return 'found a NUL byte, expected text in UTF-8' end
end

local function parse(text, format, name)
  local parser = parsers[format]
  if not parser then return refusal(name, nil, 'the file name must end in .yaml, .yml or .toml') end
  local reason = unreadable(text)
  if reason then return refusal(name, nil, reason) end
  local root, wrong = parser(text)
  if not root then return refusal(name, wrong.line, wrong.message) end
  if root.kind ~= 'map' then
    return refusal(name, root.line, ('found %s, expected a mapping'):format(document.describe(root)))
  end
  return root
end

local function from_tables(options)
  local root, message, path = document.from(options.data)
  if not root then return refusal(options.name, nil, message, path) end
  return root, 'table', options.name
end

local function read(options, env)
  if options.data then return from_tables(options) end
  local text = options.text
  if not text and not options.path then return document.from(embedded.data(env)), 'table', 'built-in configuration' end
  if not text then
    local bytes, reason = file.read(options.path, { insecure = options.check_permissions == false })
    if not bytes then return refusal(options.path, nil, reason) end
    text = bytes
  end
  local format = options.format or (options.path or ''):match '%.(%a+)$'
  local root, faults = parse(text, format, options.path)
  if not root then return nil, faults end
  return root, format == 'yml' and 'yaml' or format, options.path
end

local function override(map, changes)
  for _, name in ipairs(changes.names) do
    local change, present = changes.values[name], map.values[name]
    if change.kind == 'map' and present and present.kind == 'map' then
      override(present, change)
    else
      document.take(map, name)
      document.put(map, name, change)
    end
  end
end

---@class ccrelay.LoadOptions
---@field path string? the file; without path, text and data the embedded default is loaded
---@field text string? the text of the file, instead of reading it
---@field format 'yaml'|'yml'|'toml'? by the name of the file by default
---@field data table? configuration as plain Lua tables, by the same schema
---@field name string? name of data in faults
---@field env (fun(name: string): string?)? os.getenv by default
---@field files table<string, ccrelay.SecretFile>? files that the text refers to; by default they are read when needed
---@field check_permissions boolean? false: a file that others may write to is accepted
---@field adapters table<string, table>? adapters by type, for their schema and defaults
---@field only string[]? the sections to load; the others count as absent
---@field override table? values that replace those of the file, for options of the command line
---@field stored_clients (fun(state_dir: string?): ccrelay.StoredClients?)? reads those of ccrelay client
---@field dir string? the folder of providers/ and policies/; M.root() by default

local function keep(map, names)
  local wanted = {}
  for _, name in ipairs(names) do wanted[name] = true end
  for _, name in ipairs { unpack(map.names) } do
    if not wanted[name] then document.take(map, name) end
  end
end

-- Tables may come from a script, which must not read files.
local function files_of(options)
  if options.data then return false end
  return options.files
end

local function load(options)
  local env, lack = secret_file.beside(options.env or os.getenv, files_of(options),
    options.check_permissions == false)
  local root, format, name = read(options, env)
  if not root then return nil, format end
  if options.only then keep(root, options.only) end
  local dir, adapters = options.dir or M.root(), options.adapters or {}
  local self = check.new { file = name, format = format, env = env, lack = lack, adapters = adapters,
    types = known_types(dir, adapters), policies = file.scripts(dir .. '/policies'), join = check.join,
    guards = options.check_permissions ~= false }
  if not root.values.providers then
    document.put(root, 'providers', document.from(embedded.data(env)).values.providers)
  end
  if options.override then override(root, document.from(options.override)) end
  local configuration = self:section(root, schema.fields, '')
  if options.stored_clients then
    stored_clients.join(self, configuration, options.stored_clients(configuration.server.state_dir))
  end
  rules.apply(self, configuration)
  slips.apply(self, configuration)
  if options.path and file.is_open(options.path) then slips.check_literals(self, configuration) end
  if #self.faults > 0 then return nil, self:refusal() end
  configuration.source = name
  return configuration, fault.sorted(self.warnings)
end

--- Loads a configuration as plain tables with every default filled in, by the names of the schema. server.listen and
--- server.auth.api_key are always lists. Every provider has a list of keys, which may be empty; each key has an id
--- "NAME/NUMBER" by its position in the file. The field source names the origin of the configuration.
---@param options ccrelay.LoadOptions?
---@return table? configuration, ccrelay.Fault[] warnings_or_faults
function M.load(options)
  local pause = collectgarbage('setpause', 150)
  local configuration, list = load(options or {})
  collectgarbage('setpause', pause)
  return configuration, list
end

--- Returns the file to load: the given path, else the first file of the search order that exists.
---@param path string?
---@param env (fun(name: string): string?)?
---@return string? path nil: there is none, so the built-in configuration applies
function M.find(path, env)
  return file.find(path, env or os.getenv)
end

--- Returns the configuration that applies without a file.
---@param env (fun(name: string): string?)?
---@return table? configuration, ccrelay.Fault[] warnings_or_faults
function M.embedded(env)
  return M.load { env = env }
end

--- Returns a configuration as JSON text, with secrets masked and keys in alphabetical order.
---@param configuration table
---@param adapters table<string, table>? by type, for the keys they declare
---@return string
function M.effective_json(configuration, adapters)
  return json.encode(show.effective(configuration, adapters))
end

M.text = fault.text
M.effective = show.effective
M.restarts = show.restarts
M.json_schema = describe.json_schema
M.reference = describe.reference
M.init_text = describe.init_text

return M
