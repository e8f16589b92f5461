-- SPDX-License-Identifier: Apache-2.0
-- The texts a generation is made from, read together: the master reads and checks them, and hands
-- the same bytes to every worker, so that all of them run the same or none runs the new.
local config = require 'ccrelay.config'
local file = require 'ccrelay.config.file'
local generation = require 'ccrelay.generation'
local sandbox = require 'ccrelay.sandbox'

local M = {}

---@alias ccrelay.Script { path: string, text: string }

---@class ccrelay.Bundle
---@field config {path: string, text: string}? nil: data, or the embedded default
---@field data table? a configuration as tables
---@field policy ccrelay.Script? nil: routing.strategy names it
---@field instead ccrelay.Script? the policy that serves while that one is put aside
---@field scripts table<string, string> text of providers/NAME.lua and policies/NAME.lua by that name

---@class ccrelay.RunOptions
---@field config string? path
---@field data table? a configuration as tables, in place of any file
---@field policy string? path
---@field listen string[]?
---@field log_level string?
---@field insecure boolean
---@field watch boolean

local function fault(path, message)
  return nil, { { file = path, path = '', message = message } }
end

-- What no check has foreseen is a fault of the file all the same. Nothing is compiled meanwhile: a
-- trace keeps what it was recorded with, here parsers and tables of one generation, for good.
local function protected(path, work, ...)
  local compiles = jit.status()
  jit.off()
  local ok, result, faults = xpcall(work, debug.traceback, ...)
  if compiles then jit.on() end
  if ok then return result, faults end
  sandbox.leave()
  return fault(path, 'cannot be loaded: ' .. tostring(result))
end

local function read_folder(root, folder, scripts, insecure)
  for _, name in ipairs(file.scripts(root .. '/' .. folder)) do
    local path = folder .. '/' .. name .. '.lua'
    local text, reason = file.read(root .. '/' .. path, { insecure = insecure })
    if not text then return reason end
    scripts[path] = text
  end
end

--- The adapters of providers/, whose schemas belong to the configuration's.
---@param insecure boolean
---@return table<string, table>? adapters, table? faults
function M.adapters(insecure)
  local scripts = {}
  local reason = read_folder(config.root(), 'providers', scripts, insecure)
  if reason then return fault(config.root() .. '/providers', reason) end
  return generation.adapters(scripts)
end

local function read(options)
  local bundle, root = { scripts = {}, data = options.data }, config.root()
  local path = not options.data and config.find(options.config)
  if path then
    local text, reason = file.read(path, { insecure = options.insecure })
    if not text then return fault(path, reason) end
    bundle.config = { path = path, text = text }
  end
  if options.policy then
    local text, reason = file.read(options.policy, { insecure = options.insecure })
    if not text then return fault(options.policy, reason) end
    bundle.policy = { path = options.policy, text = text }
  end
  for _, folder in ipairs { 'providers', 'policies' } do
    local reason = read_folder(root, folder, bundle.scripts, options.insecure)
    if reason then return fault(root .. '/' .. folder, reason) end
  end
  return bundle
end

--- Reads everything a generation is made from.
---@param options ccrelay.RunOptions
---@return ccrelay.Bundle? bundle, table? faults
function M.read(options)
  return protected(options.policy or options.config, read, options)
end

local function overrides(options)
  local changes = {}
  if options.listen then changes.server = { listen = options.listen } end
  if options.log_level then changes.logging = { level = options.log_level } end
  return next(changes) and changes or nil
end

local function build(bundle, options)
  local adapters, faults = generation.adapters(bundle.scripts)
  if not adapters then return nil, faults end
  local configuration, notes = config.load {
    path = bundle.config and bundle.config.path,
    text = bundle.config and bundle.config.text,
    data = bundle.data,
    adapters = adapters,
    override = overrides(options),
  }
  if not configuration then return nil, notes end
  local built, more = generation.build {
    configuration = configuration,
    adapters = adapters,
    scripts = bundle.scripts,
    policy_path = bundle.policy and bundle.policy.path,
    policy_text = bundle.policy and bundle.policy.text,
    instead = bundle.instead,
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

--- The policy that is asked for, whatever serves instead of it.
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

--- Are two bundles the same, byte for byte?
---@param a ccrelay.Bundle
---@param b ccrelay.Bundle
---@return boolean
function M.same(a, b)
  if not M.same_file(a.config, b.config) or not M.same_file(a.policy, b.policy) then return false end
  for path, text in pairs(a.scripts) do
    if b.scripts[path] ~= text then return false end
  end
  for path in pairs(b.scripts) do
    if not a.scripts[path] then return false end
  end
  return true
end

local function folder_of(path)
  return path:match '^(.*)/[^/]*$' or '.'
end

--- The folders whose files a bundle was read from.
---@param options ccrelay.RunOptions
---@param bundle ccrelay.Bundle
---@return string[]
function M.folders(options, bundle)
  local root, seen, list = config.root(), {}, {}
  local function add(path)
    path = path == '' and '/' or path
    if not seen[path] then seen[path], list[#list + 1] = true, path end
  end
  if bundle.config then add(folder_of(bundle.config.path)) end
  if options.policy then add(folder_of(options.policy)) end
  add(root .. '/providers')
  add(root .. '/policies')
  return list
end

return M
