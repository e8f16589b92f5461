-- SPDX-License-Identifier: Apache-2.0
-- One configured provider: its adapter, its address, the models it answers for, and its keys. A provider whose
-- credential comes from the client or the adapter has one key without a secret.
local C = require 'ccrelay.c'
local address = require 'ccrelay.net.address'
local cell = require 'ccrelay.shared.cell'
local sha256 = require 'ccrelay.util.sha256'
local each = require 'ccrelay.util.each'
local deep_copy = require 'ccrelay.script.deep_copy'
local ffi = require 'ffi'
local origin = require 'ccrelay.net.origin'
local patterns = require 'ccrelay.util.patterns'
local proxy = require 'ccrelay.net.proxy'
local transparent = require 'ccrelay.config.transparent'
local call = require 'ccrelay.script.call'

---@class ccrelay.Key a provider with one of its keys, or without a key
---@field provider ccrelay.Provider
---@field id string "name/1"; the provider's name if it has no keys
---@field secret string? the credential
---@field priority integer
---@field weight integer
---@field org string? the organization that the key belongs to
---@field org_tag string? a short name for it
---@field order integer place among the keys of the provider
---@field place integer place among the keys of the same priority
---@field peers integer how many keys have the same priority
---@field limit integer? number of its limit
---@field uncounted boolean? it has limits, but the table of limits is full: the key is not used
---@field name string unique; depends on key and address, not on the place in the list
---@field classes table<string, ccrelay.ModelClass> what is kept of it for each class of models
---@field rates number[]? requests, tokens, input tokens, output tokens a minute
---@field token_rates number[]? the same, if any of them limits tokens
---@field burst integer? how many requests may be sent at once, if they are paced
---@field pace integer cell of the pacing
---@field suspended integer cell: until when the key is suspended, and why
---@field limited integer cell: until when the key is at the limit of a class of models, and of which
---@field waited_for integer cell: until when exchanges wait for the key

---@class ccrelay.Provider
---@field name string
---@field type string
---@field index integer
---@field settings table its entry in the configuration
---@field adapter ccrelay.Adapter
---@field base ccrelay.Url
---@field transparent boolean whether clients' own credentials are passed on to it
---@field passes string names of the client's headers that are passed on to it, "" for all that may be
---@field keys ccrelay.Key[]
---@field credentials string the name of its credential scheme, a module in credentials/
---@field scheme table that module
---@field keyless ccrelay.Key the key for credentials of the client or of the adapter
---@field circuits table<string, ccrelay.Circuits> by class of models
---@field unknown_models { count: integer, until_ms: table<string, number> } models that it said it does not have
local Provider = {}
Provider.__index = Provider

local M = {}

--- Tells whether its entry allows a model: serves matches it, or is absent.
---@param model string the name that the client or the policy uses
---@return boolean
function Provider:serves(model)
  return not self.settings.serves or patterns.find(self.served, self.served_prefixes, model) ~= nil
end

--- Tells whether its models or the left side of its model_mapping match a model.
---@param model string
---@return boolean
function Provider:claims(model)
  return patterns.find(self.listed, self.listed_prefixes, model) ~= nil
    or patterns.find(self.mapped, self.mapped_prefixes, model) ~= nil
end

--- Tells whether its adapter declares names such as this one.
---@param model string
---@return boolean
function Provider:is_native(model)
  return patterns.matches(self.native, model)
end

--- Tells whether neither its entry nor its own list says which models it has.
---@return boolean
function Provider:names_nothing()
  local settings = self.settings
  return not self.adapter.list_models and next(settings.models or {}) == nil
    and next(settings.model_mapping or {}) == nil
end

--- Returns the name that is sent for a model, by model_mapping.
---@param model string
---@return string
function Provider:map(model)
  return patterns.find(self.mapped, self.mapped_prefixes, model) or model
end

--- Tells whether the adapter supports a feature. It supports what it does not mention, except for the endpoints that
--- only some providers have.
---@param feature string
---@return boolean
function Provider:supports(feature)
  local supports = self.adapter.supports
  local value = supports and supports[feature]
  if value == nil then return feature ~= 'batches' and feature ~= 'files' end
  return value
end

--- Tells whether tokens that a model reads from its prompt cache count against the limits of keys.
---@param model string? the name that the upstream knows
---@return boolean
function Provider:counts_cache_reads(model)
  return model ~= nil and patterns.find(self.caching, self.caching_prefixes, model) == true
end

--- Returns its address. It contains no user and no password, as such addresses are refused.
---@return string
function Provider:base_url()
  return address.text(self.base)
end

--- Returns the next turn of a round-robin pool, which all processes share.
---@return number
function Provider:next_turn()
  return C.cc_cell_add(self.turns, 1)
end

--- Returns the last turn.
---@return number
function Provider:turn()
  return C.cc_cell_get(self.turns)
end

-- Sets the limits of a key from its entry.
local function set_rates(key, entry)
  key.rates = { entry.rpm_limit or 0, entry.tpm_limit or 0, entry.itpm_limit or 0, entry.otpm_limit or 0 }
  key.token_rates = math.max(unpack(key.rates, 2)) > 0 and key.rates or nil
  key.burst = key.rates[1] > 0 and (entry.burst or 0) > 0 and entry.burst or nil
end

local function new_key(provider, entry, order)
  local settings = entry or {}
  local key = {
    provider = provider, id = settings.id or provider.name, secret = settings.key, priority = settings.priority or 1,
    weight = settings.weight or 1, order = order, org = settings.org, name = '', classes = {},
    suspended = -1, limited = -1, pacing = -1, waited_for = -1, uncounted = false,
  }
  key.org_tag = key.org and sha256.hex(key.org, 6)
  if entry then set_rates(key, entry) end
  return key
end

-- Round robin goes around the keys of one priority.
local function number_peers(keys)
  local counts = {}
  for _, key in ipairs(keys) do
    counts[key.priority] = (counts[key.priority] or 0) + 1
    key.place = counts[key.priority]
  end
  for _, key in ipairs(keys) do key.peers = counts[key.priority] end
end

local function add_keys(provider)
  local keys = provider.settings.keys or {}
  local first = keys[1] or {}
  local pooling = provider.settings.pooling or {}
  for index, key in ipairs(keys) do
    if pooling.enabled == false and index > 1 then break end
    provider.keys[index] = new_key(provider, key, index)
  end
  number_peers(provider.keys)
  provider.keyless = new_key(provider, nil, 0)
  provider.keyless.priority = provider.settings.client_priority or first.priority or 1
  provider.keyless.weight = first.weight or 1
  for _, key in ipairs(provider.keys) do
    provider.keyless.priority = math.max(provider.keyless.priority, key.priority)
  end
end

-- The settings that adapters get: all but the keys.
local function adapter_settings(settings)
  local copy = {}
  for name, value in each(settings) do
    if name ~= 'keys' then copy[name] = deep_copy.plain(value) end
  end
  return copy
end

local function base_of(settings, adapter, seen)
  local text = settings.base_url or (adapter.defaults or {}).base_url
  if adapter.base_url then
    local made, message = call.adapter(adapter.base_url, seen)
    if type(made) ~= 'string' then
      return nil, type(message) == 'string' and message or 'the adapter returned no base address'
    end
    text = made
  end
  if not text then return nil, 'base_url is missing' end
  local url = address.url(text)
  if not url then return nil, 'base_url "' .. text .. '" is not an http or https address' end
  return url
end

local function set(list)
  local members = {}
  for _, name in ipairs(list or {}) do members[name] = true end
  return members
end

--- Makes a provider, or returns nil and what is wrong with it.
---@param settings table its entry in the configuration
---@param adapter table
---@param index integer its place in the configuration
---@param env fun(name: string): string? returns an environment variable
---@return ccrelay.Provider?
---@return string? message
function M.new(settings, adapter, index, env)
  local seen = adapter_settings(settings)
  local base, message = base_of(settings, adapter, seen)
  if not base then return nil, message end
  local through, complaint = proxy.of(base, env)
  if complaint then return nil, complaint end
  local credentials = adapter.credentials or 'key'
  if type(credentials) == 'function' then credentials = call.adapter(credentials, seen) end
  if settings.transparent and credentials ~= 'key' then
    return nil, 'transparent is for types that take a key; type ' .. settings.type .. ' has other credentials'
  end
  local provider = setmetatable({
    name = settings.name, type = settings.type, index = index, settings = settings, visible = seen, adapter = adapter,
    base = base, passes = table.concat(adapter.passes or {}, ' '):lower(),
    transparent = transparent.of(settings, adapter),
    proxy = through, credentials = credentials, keys = {}, origins = setmetatable({}, { __mode = 'k' }),
  }, Provider)
  provider.served, provider.served_prefixes = patterns.split(set(settings.serves))
  provider.listed, provider.listed_prefixes = patterns.split(set(settings.models))
  provider.native = patterns.of_globs(adapter.models or {})
  provider.mapped, provider.mapped_prefixes = patterns.split(settings.model_mapping or {})
  provider.caching, provider.caching_prefixes = patterns.split(set(adapter.counts_cache_reads))
  provider.circuits, provider.unknown_models, provider.turns = {}, { count = 0, until_ms = {} }, -1
  add_keys(provider)
  return provider
end

-- A name by key and address, not by the place in the list: what is known of a key survives reloads, and does not apply
-- to the same key at another address.
local function name_of(key, place)
  return key.provider.name .. '/' .. sha256.hex((key.secret or key.order) .. place, 8)
end

local function is_bounded(key)
  return math.max(unpack(key.rates)) > 0
end

local function attach_key(key, place)
  local own = name_of(key, place)
  key.name, key.classes = own, {}
  key.suspended, key.limited = cell.number('key:' .. own), cell.number('limited:' .. own)
  key.waited_for = cell.number('queue:' .. own)
  if not key.rates then return end
  local name = cell.fit(own)
  local limit = C.cc_limit(name, #name)
  key.limit = limit >= 0 and limit or nil
  key.uncounted = limit < 0 and is_bounded(key)
  if key.burst then key.pacing = cell.number('burst:' .. own) end
  C.cc_limit_configure(limit, ffi.new('struct cc_rates', key.rates))
end

--- Finds the provider's cells and limits in shared memory. A generation is built before shared memory exists, so this
--- is done at its first use.
function Provider:attach()
  self.circuits = {}
  self.turns = cell.number('turns:' .. self.name)
  local base = self.base
  local place = string.format(' %s %s %d %s', base.scheme, base.host, base.port, base.path)
  attach_key(self.keyless, place)
  for _, key in ipairs(self.keys) do attach_key(key, place) end
end

--- Returns the number of the provider's origin in this process.
---@param relay ffi.cdata*
---@return integer? origin
---@return string? message
function Provider:origin(relay)
  local number = self.origins[relay]
  if number then return number end
  local message
  number, message = origin.number(relay, self.base,
    { proxy = self.proxy, ca_file = self.settings.ca_file, allow_public_http = self.settings.allow_http })
  if not number then return nil, message end
  self.origins[relay] = number
  return number
end

return M
