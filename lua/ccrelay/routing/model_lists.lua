-- SPDX-License-Identifier: Apache-2.0
-- Keeps the lists of models of providers whose adapter has list_models: asking costs nothing. Each worker asks
-- for itself, keeps the list, and has it asked again in the background while requests depend on it.
local C = require 'ccrelay.c'
local call = require 'ccrelay.script.call'
local each = require 'ccrelay.util.each'
local json = require 'ccrelay.util.json'
local fetch = require 'ccrelay.net.fetch'
local task = require 'ccrelay.sched.task'
local turn = require 'ccrelay.sched.wait'

local M = {}

-- Grows whenever a list is another one than before.
M.version = 0

local REFRESH_MS = 10000
local FETCH_MS, MOST_BYTES = 1000, 1024 * 1024

---@class ccrelay.Listing
---@field names table<string, boolean> empty until the provider has told them; kept when it fails later
---@field text string the same, to compare
---@field known boolean it has been asked, whatever came of it
---@field due number cc_now() from which on it is to be asked again
---@field waiting ccrelay.Exchange[]? while it is being asked

local entries, owner = {}, nil -- by name and address, of this relay
local found = setmetatable({}, { __mode = 'k' }) -- the same by provider; a reload makes new ones

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

-- What another relay of this process has asked for is forgotten.
local function attach(relay)
  if owner == relay then return end
  entries, owner, found = {}, relay, setmetatable({}, { __mode = 'k' })
end

-- ---- Asking ------------------------------------------------------------------------------------

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

local function work(provider, entry, relay, journal)
  local names, problem = fetch_names(provider, relay)
  if names then
    keep(entry, names)
  else
    journal:say('debug', 'the models of a provider cannot be listed', { 'provider', provider.name, 'reason', problem })
  end
  local waiting = entry.waiting
  entry.known, entry.waiting = true, nil
  for _, exchange in ipairs(waiting) do turn.post(exchange, turn.SHARED) end
end

local function ask(exchange, provider, entry)
  if entry.waiting then return end
  entry.waiting, entry.due = {}, C.cc_now() + REFRESH_MS
  task.start(work, provider, entry, exchange.relay, exchange.generation.journal)
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

-- Whether what the provider lists decides if it is a candidate for the model: always without a model.
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

local function wait(exchange, entry)
  if entry.known then return end
  table.insert(entry.waiting, exchange)
  turn.await(exchange, turn.SHARED)
end

--- Has the lists ready that the candidates of the exchange depend on; all of them when it has no model.
--- Waits only for a list that nobody has asked for yet, and a second at most. In the coroutine of an
--- exchange, before its script.
---@param exchange ccrelay.Exchange
function M.prepare(exchange)
  attach(exchange.relay)
  local generation, model, now = exchange.generation, exchange.model, C.cc_now()
  local list = listers(generation)
  if not any_due(list, model, now) then return end
  for _, provider in ipairs(list) do
    local entry = entry_of(provider)
    if is_due(entry, now) then ask(exchange, provider, entry) end
  end
  for _, provider in ipairs(list) do wait(exchange, entry_of(provider)) end
end

-- ---- What is known -----------------------------------------------------------------------------

--- Whether the provider has listed the model to this worker.
---@param provider ccrelay.Provider
---@param model string
---@return boolean
function M.lists(provider, model)
  return provider.adapter.list_models ~= nil and entry_of(provider).names[model] == true
end

--- The names that a provider has listed to this worker, sorted; empty for one that has no list.
---@param provider ccrelay.Provider
---@return string[]
function M.names(provider)
  local names = {}
  if not provider.adapter.list_models then return names end
  for name in each(entry_of(provider).names) do names[#names + 1] = name end
  table.sort(names)
  return names
end

return M
