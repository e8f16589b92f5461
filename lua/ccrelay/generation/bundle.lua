-- SPDX-License-Identifier: Apache-2.0
-- Reads the files a generation is made from, and builds the generation. The master reads and checks them and sends the
-- same bytes to every worker. It guarantees that either all workers run the new files or none does.
local C = require 'ccrelay.c'
local call = require 'ccrelay.script.call'
local config = require 'ccrelay.config'
local each = require 'ccrelay.util.each'
local ffi = require 'ffi'
local file = require 'ccrelay.config.file'
local generation = require 'ccrelay.generation'
local passed_sockets = require 'ccrelay.net.passed_sockets'
local secret_file = require 'ccrelay.config.secret_file'
local stored_clients = require 'ccrelay.config.stored_clients'

local M = {}

local LARGE_HEAP_KB = 8192

---@alias ccrelay.Script { path: string, text: string }

---@class ccrelay.Bundle
---@field config {path: string, text: string}? nil: data, or the embedded default
---@field secrets table<string, ccrelay.SecretFile>? files that the configuration names
---@field data table? a configuration as tables
---@field policy ccrelay.Script? nil: routing.strategy names it
---@field instead ccrelay.Script? the policy that serves while that one is quarantined
---@field scripts table<string, string> text of providers/NAME.lua and policies/NAME.lua by that name
---@field clients ccrelay.StoredClients? those of ccrelay client, with their folder
---@field tls string? digest of the files of server.tls
---@field faults ccrelay.Fault[]? why the files cannot be read; then all other fields are empty

---@class ccrelay.Replacement
---@field configuration fun(configuration: table): table changes the complete configuration
---@field providers fun(list: table[], adapters: table<string, table>): table[], table<string, table> changes the
---entries of all providers, also of those that the policy declares, and their adapters

---@class ccrelay.RunOptions
---@field config string? path
---@field data table? a configuration as tables, instead of a file
---@field policy string? path
---@field strategy string? overrides routing.strategy
---@field listen string[]? overrides server.listen
---@field sockets ccrelay.PassedSockets? override server.listen and admin.listen
---@field logging table? overrides values of logging
---@field insecure boolean
---@field watch boolean
---@field tls {cert: string, key: string}? the files that listeners use
---@field state_dir string? of the configuration in force, set by the master
---@field replace ccrelay.Replacement? what a relay for tests runs with instead

local function fault(path, message)
  return nil, { { file = path, path = '', message = message } }
end

-- Runs work that loads a file; an unexpected error becomes a fault of the file. The JIT is off meanwhile, because a
-- trace would keep the parsers and tables of this generation alive for ever.
local function protected(path, work, ...)
  local compiles = jit.status()
  jit.off()
  local ok, result, faults = call.xpcall(work, debug.traceback, ...)
  if compiles then jit.on() end
  if ok then return result, faults end
  return fault(path, 'cannot be loaded: ' .. tostring(result))
end

local function read_folder(root, folder, scripts, insecure)
  for _, name in ipairs(file.scripts(root .. '/' .. folder)) do
    local path = folder .. '/' .. name .. '.lua'
    local text, reason = file.read(root .. '/' .. path, { insecure = insecure })
    if not text then return root .. '/' .. path, reason end
    scripts[path] = text
  end
end

--- Loads the adapters of providers/. Their schemas are part of the configuration's schema.
---@param insecure boolean
---@return table<string, table>? adapters, table? faults
function M.adapters(insecure)
  local scripts = {}
  local path, reason = read_folder(config.root(), 'providers', scripts, insecure)
  if path then return fault(path, reason) end
  return generation.adapters(scripts)
end

local function tls_faults()
  return { { path = 'server.tls', message = ffi.string(C.cc_system_error()) } }
end

--- Returns a digest of the files of server.tls; nil without files, or if one cannot be read.
---@param tls {cert: string, key: string}?
---@return string?
function M.tls_digest(tls)
  if not tls then return nil end
  local out = ffi.new 'uint8_t[32]'
  if C.cc_tls_digest(tls.cert, tls.key, out) ~= C.CC_OK then return nil end
  return ffi.string(out, 32)
end

-- Reads the clients of ccrelay client in server.state_dir.
local function read_clients(folder, insecure)
  local clients = stored_clients.read(folder, insecure)
  if clients then clients.folder = folder end
  return clients
end

local function read(options)
  local bundle, root = { scripts = {}, data = options.data }, config.root()
  local path = not options.data and config.find(options.config)
  if path then
    local text, reason = file.read(path, { insecure = options.insecure })
    if not text then return fault(path, reason) end
    bundle.config = { path = path, text = text }
    bundle.secrets = secret_file.read_all(text, os.getenv, options.insecure)
  end
  if options.policy then
    local text, reason = file.read(options.policy, { insecure = options.insecure })
    if not text then return fault(options.policy, reason) end
    bundle.policy = { path = options.policy, text = text }
  end
  for _, folder in ipairs { 'providers', 'policies' } do
    local unread, reason = read_folder(root, folder, bundle.scripts, options.insecure)
    if unread then return fault(unread, reason) end
  end
  bundle.clients = read_clients(options.state_dir, options.insecure)
  if not options.tls then return bundle end
  bundle.tls = M.tls_digest(options.tls)
  if not bundle.tls then return nil, tls_faults() end
  return bundle
end

--- Reads everything a generation is made from.
---@param options ccrelay.RunOptions
---@return ccrelay.Bundle? bundle, table? faults
function M.read(options)
  return protected(options.policy or options.config, read, options)
end

--- Reads everything a generation is made from. If something cannot be read, the bundle holds the faults.
---@param options ccrelay.RunOptions
---@return ccrelay.Bundle
function M.saved(options)
  local bundle, faults = M.read(options)
  return bundle or { scripts = {}, faults = faults }
end

local function overrides(options)
  local changes = {}
  if options.listen then changes.server = { listen = options.listen } end
  if options.strategy then changes.routing = { strategy = options.strategy } end
  changes.logging = options.logging
  if options.sockets then passed_sockets.override(options.sockets, changes) end
  return next(changes) and changes or nil
end

-- The clients of the bundle, which all workers get. They are read here only when server.state_dir was not known before.
local function stored(bundle, folder, insecure)
  local clients = bundle.clients
  if not clients or clients.folder ~= folder then
    clients = read_clients(folder, insecure)
    bundle.clients = clients
  end
  return clients
end

local function build(bundle, options)
  local adapters, faults = generation.adapters(bundle.scripts)
  if not adapters then return nil, faults end
  local configuration, notes = config.load {
    path = bundle.config and bundle.config.path,
    text = bundle.config and bundle.config.text,
    data = bundle.data,
    files = bundle.secrets,
    adapters = adapters,
    override = overrides(options),
    check_permissions = not options.insecure,
    stored_clients = not bundle.data and function(folder) return stored(bundle, folder, options.insecure) end or nil,
  }
  if not configuration then return nil, notes end
  local replace = options.replace
  if replace then configuration = replace.configuration(configuration) end
  local built, more = generation.build {
    configuration = configuration,
    adapters = adapters,
    scripts = bundle.scripts,
    policy_path = bundle.policy and bundle.policy.path,
    policy_text = bundle.policy and bundle.policy.text,
    instead = bundle.instead,
    replace = replace,
  }
  if not built then return nil, more end
  for _, warning in ipairs(more) do notes[#notes + 1] = warning end
  return built, notes
end

--- Builds and checks a generation from a bundle.
---@param bundle ccrelay.Bundle
---@param options ccrelay.RunOptions
---@return table? generation, table warnings_or_faults
function M.build(bundle, options)
  local main = bundle.policy or bundle.config
  return protected(main and main.path, build, bundle, options)
end

--- Collects the garbage of a build and of the previous generation. Takes a few milliseconds at most: a large heap is
--- left to the incremental collector.
function M.collect()
  if collectgarbage 'count' < LARGE_HEAP_KB then collectgarbage() end
end

--- Prepares the certificate and key of a bundle for a commit.
---@param relay ffi.cdata*
---@param bundle ccrelay.Bundle
---@return ccrelay.Fault[]? faults nil on success
function M.prepare_tls(relay, bundle)
  if not bundle.tls or C.cc_tls_prepare(relay, bundle.tls) == C.CC_OK then return nil end
  return tls_faults()
end

--- Returns the configured policy, even if another serves instead of it.
---@param bundle ccrelay.Bundle
---@param configuration table the one built from it
---@return ccrelay.Script
function M.policy(bundle, configuration)
  if bundle.policy then return bundle.policy end
  local path = 'policies/' .. configuration.routing.strategy .. '.lua'
  return { path = path, text = bundle.scripts[path] }
end

---@param a ccrelay.Script?
---@param b ccrelay.Script?
---@return boolean
function M.same_file(a, b)
  return a == b or a ~= nil and b ~= nil and a.path == b.path and a.text == b.text
end

--- Returns the faults of files, one per line.
---@param faults ccrelay.Fault[]
---@return string
function M.text(faults)
  local lines = {}
  for index, one in ipairs(faults) do lines[index] = config.text(one) end
  return table.concat(lines, '\n')
end

--- Whether the clients of ccrelay client have changed since a bundle was read.
---@param bundle ccrelay.Bundle
---@param options ccrelay.RunOptions
---@return boolean
function M.clients_changed(bundle, options)
  return not stored_clients.same(bundle.clients, stored_clients.read(options.state_dir, options.insecure))
end

--- Whether two bundles are the same, byte for byte.
---@param a ccrelay.Bundle
---@param b ccrelay.Bundle
---@return boolean
function M.same(a, b)
  if not M.same_file(a.config, b.config) or not M.same_file(a.policy, b.policy) then return false end
  if a.tls ~= b.tls or not secret_file.same(a.secrets, b.secrets) then return false end
  if not stored_clients.same(a.clients, b.clients) then return false end
  if M.text(a.faults or {}) ~= M.text(b.faults or {}) then return false end
  for path, text in each(a.scripts) do
    if b.scripts[path] ~= text then return false end
  end
  for path in each(b.scripts) do
    if not a.scripts[path] then return false end
  end
  return true
end

local function folder_of(path)
  return path:match '^(.*)/[^/]*$' or '.'
end

local function files(options, bundle)
  local list, tls = {}, options.tls or {}
  for path in each(bundle.scripts) do list[#list + 1] = config.root() .. '/' .. path end
  for _, path in each { bundle.config and bundle.config.path, options.policy, tls.cert, tls.key } do
    list[#list + 1] = path
  end
  for _, secret in each(bundle.secrets or {}) do list[#list + 1] = secret.path end
  return list
end

--- Returns the folders to watch for changes of a bundle: those of its scripts and files, and of every symbolic link on
--- the path to one.
---@param options ccrelay.RunOptions
---@param bundle ccrelay.Bundle
---@return string[] sorted
function M.folders(options, bundle)
  local seen, list = {}, {}
  local function add(path)
    path = path == '' and '/' or path
    if not seen[path] then seen[path], list[#list + 1] = true, path end
  end
  for _, path in ipairs(files(options, bundle)) do
    for _, entry in ipairs(file.way(path)) do add(folder_of(entry)) end
  end
  for _, name in ipairs { 'providers', 'policies' } do
    local path = config.root() .. '/' .. name
    local way = file.way(path)
    for index = 1, #way - 1 do add(folder_of(way[index])) end
    add(path)
  end
  table.sort(list)
  return list
end

return M
