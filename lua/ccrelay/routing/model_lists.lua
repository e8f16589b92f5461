-- SPDX-License-Identifier: Apache-2.0
-- Caches the model lists of providers whose adapter has list_models, where a request for the list is free. Each worker
-- fetches the lists for itself, and refreshes them in the background while requests depend on them.
local C = require 'ccrelay.c'
local call = require 'ccrelay.script.call'
local lists = require 'ccrelay.util.lists'
local json = require 'ccrelay.util.json'
local fetch = require 'ccrelay.net.fetch'
local task = require 'ccrelay.sched.task'
local wait = require 'ccrelay.sched.wait'

local M = {}

-- Grows whenever a list changes.
M.version = 0

local REFRESH_MS = 10000
local FETCH_MS, MOST_BYTES = 1000, 1024 * 1024

---@class ccrelay.Listing
---@field names table<string, boolean> empty until the first fetch succeeds; a later failure keeps them
---@field text string the names as one text, to compare
---@field known boolean whether a fetch has ended, with or without success
---@field due number moment (cc_now) of the next fetch
---@field waiting ccrelay.Exchange[]? exchanges that wait for the fetch under way

local entries, owner = {}, nil -- by provider name and address, of the relay `owner`
local found = setmetatable({}, { __mode = 'k' }) -- the same entries by provider object; a reload creates new objects

local function url_of(provider)
  return provider:base_url() .. provider.adapter.list_models.path
end

local function entry_of(provider)
  local entry = found[provider]
  if entry then return entry end
  local key = provider.name .. ' ' .. url_of(provider)
  entry = entries[key] or { names = {}, text = '', known = false, due = 0, waiting = nil }
  entries[key], found[provider] = entry, entry
  return entry
end

-- Lists of another relay in this process are dropped.
local function attach(relay)
  if owner == relay then return end
  entries, owner, found = {}, relay, setmetatable({}, { __mode = 'k' })
end

-- ---- Fetching ----------------------------------------------------------------------------------

local function headers_of(provider)
  local headers, key = { accept = 'application/json' }, provider.keys[1]
  if provider.credentials ~= 'key' then return headers end
  provider.scheme.apply({
    credential = key and 'own' or 'adapter', key = key and key.secret,
    header = function(_, name, value) headers[name] = value end,
  }, nil, provider.adapter)
  return headers
end

local function read(provider, body)
  local reply = json.decode(body)
  if type(reply) ~= 'table' then return nil, 'the answer is not JSON' end
  local ok, names = call.pcall(call.adapter, provider.adapter.list_models.read, reply)
  if not ok then return nil, tostring(names) end
  if type(names) ~= 'table' then return nil, 'the answer is not a list of models' end
  return names
end

local function fetch_names(provider, relay)
  local origin, message = provider:origin(relay)
  if not origin then return nil, message end
  local answer, complaint = fetch.send {
    url = url_of(provider), origin = origin, headers = headers_of(provider), timeout_ms = FETCH_MS,
    answer_bytes = MOST_BYTES,
  }
  if not answer then return nil, complaint end
  if answer.status ~= 200 then return nil, 'it answered ' .. answer.status end
  return read(provider, answer.body)
end

local function keep(entry, names)
  local set, list = {}, {}
  for _, name in ipairs(names) do
    if type(name) == 'string' and not set[name] then set[name], list[#list + 1] = true, name end
  end
  table.sort(list)
  local text = table.concat(list, '\n')
  if text == entry.text then return end
  entry.names, entry.text = set, text
  M.version = M.version + 1
end

local function update(provider, entry, relay, logger)
  local names, problem = fetch_names(provider, relay)
  if names then
    keep(entry, names)
  else
    logger:say('debug', 'the models of a provider cannot be listed', { 'provider', provider.name, 'reason', problem })
  end
  local waiting = entry.waiting
  entry.known, entry.waiting = true, nil
  for _, exchange in ipairs(waiting) do wait.post(exchange, wait.SHARED) end
end

local function fetch_again(exchange, provider, entry)
  if entry.waiting then return end
  entry.waiting, entry.due = {}, C.cc_now() + REFRESH_MS
  task.start(update, provider, entry, exchange.relay, exchange.generation.logger)
end

-- ---- Before candidates are chosen --------------------------------------------------------------

local function listers(generation)
  local list = generation.listers
  if not list then
    list = {}
    for _, provider in ipairs(generation.providers) do
      if provider.adapter.list_models then list[#list + 1] = provider end
    end
    generation.listers = list
  end
  return list
end

-- Whether the provider's list decides if it is a candidate for the model; always true without a model.
local function depends(provider, model)
  return not model or provider:serves(model) and not provider:claims(model)
end

local function is_due(entry, now)
  return not entry.known or now >= entry.due
end

local function any_due(providers, model, now)
  for _, provider in ipairs(providers) do
    if is_due(entry_of(provider), now) and depends(provider, model) then return true end
  end
  return false
end

local function await_first_fetch(exchange, entry)
  if entry.known then return end
  table.insert(entry.waiting, exchange)
  wait.await(exchange, wait.SHARED)
end

--- Fetches the lists that the candidates of the exchange depend on; all of them if it has no model. Waits only for
--- lists that were never fetched before, one second at most. Runs in the coroutine of an exchange, before its script.
---@param exchange ccrelay.Exchange
function M.prepare(exchange)
  attach(exchange.relay)
  local generation, model, now = exchange.generation, exchange.model, C.cc_now()
  local list = listers(generation)
  if not any_due(list, model, now) then return end
  for _, provider in ipairs(list) do
    local entry = entry_of(provider)
    if is_due(entry, now) then fetch_again(exchange, provider, entry) end
  end
  for _, provider in ipairs(list) do await_first_fetch(exchange, entry_of(provider)) end
end

-- ---- Reading -----------------------------------------------------------------------------------

--- Whether the provider's list, as this worker knows it, has the model.
---@param provider ccrelay.Provider
---@param model string
---@return boolean
function M.lists(provider, model)
  return provider.adapter.list_models ~= nil and entry_of(provider).names[model] == true
end

--- Returns the names in a provider's list, sorted, as this worker knows it; empty for a provider without a list.
---@param provider ccrelay.Provider
---@return string[]
function M.names(provider)
  return provider.adapter.list_models and lists.names(entry_of(provider).names) or {}
end

return M
