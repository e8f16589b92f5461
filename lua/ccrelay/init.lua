-- SPDX-License-Identifier: Apache-2.0
-- What policies get as require 'ccrelay'.
local C = require 'ccrelay.c'
local cell = require 'ccrelay.cell'
local ffi = require 'ffi'
local json = require 'ccrelay.json'
local random = require 'ccrelay.random'
local upstream = require 'ccrelay.upstream'

local M = {}

---@class ccrelay.Relay
---@field version string of ccrelay
---@field routing ccrelay.Routing of the configuration
---@field json ccrelay.Json
---@field log fun(text: string)|fun(level: 'debug'|'info'|'warn'|'error', text: string) without secrets
---@field provider fun(settings: table) declares a provider; while a script is loaded only
local Relay = {}

---@class ccrelay.Routing
---@field strategy string
---@field failover_timeout integer milliseconds
---@field model_mapping table<string, string> provider by prefix of the model
---@field default_provider string?
---@field debug boolean

--- The candidates of an exchange: who can serve its model, is allowed for its client, has a closed
--- circuit and limits open; by priority. A filter narrows them: { provider = name } or { type = name }.
---@param exchange ccrelay.Exchange
---@param filter { provider: string?, type: string? }?
---@return ccrelay.Upstream[]
function Relay.upstreams(exchange, filter)
  if type(exchange) ~= 'table' or not rawget(exchange, 'generation') then
    error('relay.upstreams takes an exchange', 2)
  end
  return upstream.candidates(exchange, filter)
end

--- A named number that all workers share and a reload leaves alone.
---@param name string
---@return ccrelay.Cell
function Relay.cell(name)
  return cell.of_policy(name)
end

--- Milliseconds on a clock that never jumps.
---@return number
function Relay.now()
  return C.cc_now()
end

--- Milliseconds since 1970.
---@return number
function Relay.time()
  return C.cc_time()
end

--- A number from 0 to below 1, or a whole number from 1 to most.
---@param most integer?
---@return number
function Relay.random(most)
  return random.number(most)
end

--- A whole number from 0 to 2^48 - 1, always the same for the same text.
---@param text string
---@return integer
function Relay.hash(text)
  return tonumber(cell.digest(text, 6), 16)
end

local LEVELS = { debug = true, info = true, warn = true, error = true }

local function log(journal, level, message)
  if message == nil then level, message = 'info', level end
  if not LEVELS[level] then error('relay.log takes a level (debug, info, warn, error) and a text', 3) end
  journal:say(level, tostring(message))
end

local function copy(value)
  if type(value) ~= 'table' then return value end
  local result = {}
  for name, member in pairs(value) do result[name] = copy(member) end
  return result
end

---@class ccrelay.Context what a script is loaded into
---@field journal ccrelay.Journal
---@field routing table
---@field declared table[]? providers the script declares; nil when it has been loaded

--- The module for one script.
---@param context ccrelay.Context
---@return ccrelay.Relay
function M.bind(context)
  local relay = { version = ffi.string(C.cc_version()), routing = copy(context.routing) }
  for name, value in pairs(Relay) do relay[name] = value end
  relay.json = { encode = json.encode, decode = json.decode, array = json.array, null = json.null }

  --- Writes to the log: relay.log(text) or relay.log(level, text). Secrets are taken out.
  function relay.log(level, message)
    log(context.journal, level, message)
  end

  --- Declares a provider, by the schema of the configuration. A script that does is the whole
  --- configuration: the providers of the file do not count.
  function relay.provider(settings)
    if not context.declared then error('relay.provider is for the time a script is loaded', 2) end
    if type(settings) ~= 'table' then error('relay.provider takes a table', 2) end
    context.declared[#context.declared + 1] = copy(settings)
  end

  return relay
end

return M
