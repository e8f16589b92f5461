-- SPDX-License-Identifier: Apache-2.0
-- Selects the upstreams at which an exchange may be tried, and puts them in order.
local C = require 'ccrelay.c'
local reservation = require 'ccrelay.limits.reservation'
local each = require 'ccrelay.util.each'
local handle = require 'ccrelay.script.handle'
local features = require 'ccrelay.providers.features'
local circuits = require 'ccrelay.health.circuits'
local health = require 'ccrelay.health'
local affinity = require 'ccrelay.routing.affinity'
local file_keys = require 'ccrelay.routing.file_keys'
local members = require 'ccrelay.script.members'
local new_table = require 'table.new'
local key_order = require 'ccrelay.routing.key_order'
local wait_queue = require 'ccrelay.routing.wait_queue'
local model_class = require 'ccrelay.limits.model_class'
local selection = require 'ccrelay.routing.selection'
local serving = require 'ccrelay.routing.serving'
local unknown_models = require 'ccrelay.health.unknown_models'

---@class ccrelay.Upstream a provider with one of its keys, as a policy sees it
---@field provider string configured name of the provider
---@field type string name of the adapter
---@field key_id string NAME/NUMBER, by position in the file
---@field priority integer highest is tried first
---@field weight integer share in weighted strategies
---@field model string model name that would be sent
---@field org string? organization of the key, as configured
---@field headroom number smallest free share of its limits, 0 to 1
---@field state ccrelay.UpstreamState ready when it is a candidate
local Upstream = {}
Upstream.__metatable = false

local M = {}

local views = {
  provider = function(key) return key.provider.name end,
  type = function(key) return key.provider.type end,
  key_id = function(key) return key.id end,
  priority = function(key) return key.priority end,
  weight = function(key) return key.weight end,
  org = function(key) return key.org end,
  headroom = function(key, model) return model_class.headroom(key, model, C.cc_now()) end,
  state = function(_, _, upstream) return (health.state(upstream, C.cc_now())) end,
}

local readable = { model = true }
for name in each(views) do readable[name] = true end

function Upstream:__index(name)
  local view = views[name]
  return view and view(rawget(self, 'key'), rawget(self, 'model'), self) or nil
end

handle.define('upstream', Upstream, function(self, name)
  if name == 'model' then return self.model end
  if not views[name] then error(members.unknown('an upstream', name, readable), 2) end
  return self[name]
end, function(_, name)
  error('upstream.' .. tostring(name) .. ' is read-only', 2)
end)

local function new(key, model, credential, rank)
  return (setmetatable({
    key = key, model = model, credential = credential, rank = rank, is_spare = false, script_handle = false,
  }, Upstream))
end

--- Whether a value is an upstream.
---@param value any
---@return boolean
function M.is(value)
  return type(value) == 'table' and debug.getmetatable(value) == Upstream
end

--- Whose credentials an attempt at the provider uses for this client: 'client', 'own' (its keys),
--- 'adapter' (without a key); nil when there are none it may use.
---@param provider ccrelay.Provider
---@param client ccrelay.Client
---@return string?
function M.credential(provider, client)
  if client.passes and provider.transparent then return 'client' end
  if #provider.keys > 0 then return 'own' end
  if provider.credentials ~= 'key' then return 'adapter' end
  return client.kind ~= 'subscription' and provider.adapter.key_optional and 'adapter' or nil
end

local NO_ROOM_MS = 30000

-- Returns whether the limits have room for the exchange; if not, notes why. Limits that were learned from response
-- headers are only a guess: where an exchange does not wait for them, the upstream is left out only while others can
-- serve.
local function has_room(exchange, upstream, now)
  local key, model = upstream.key, upstream.model
  if key.uncounted then
    selection.refuse(exchange, 'overloaded', now + NO_ROOM_MS, key.provider, nil, nil, key, model)
    return false
  end
  if not key.rates then return true end
  local delay, of_class = wait_queue.delay(exchange, key, model, now)
  if delay == 0 then return true end
  local ready = now + delay
  if of_class and not wait_queue.waits_until(exchange, ready)
    and reservation.configured_wait(exchange, key, now) == 0 then
    selection.leave_out(exchange, upstream, 'limited', ready)
    return false
  end
  wait_queue.note(exchange, key, model, ready, of_class)
  selection.refuse(exchange, 'limited', ready, key.provider, nil, nil, key, model)
  return false
end

---@class ccrelay.Search a search for candidates at one provider
---@field exchange ccrelay.Exchange
---@field list ccrelay.Upstream[]
---@field now number
---@field state ccrelay.UpstreamState of the provider, for the model
---@field ready number? moment (cc_now) at which the provider may be healthy again; nil: it is healthy

-- The provider has stated when a limit of the key ends. The exchange may wait for that.
local function refuse_stated(search, upstream, ready)
  local exchange, key, model, now = search.exchange, upstream.key, upstream.model, search.now
  local room = upstream.credential == 'own' and now + wait_queue.delay(exchange, key, model, now) or 0
  wait_queue.note(exchange, key, model, math.max(ready, room), ready >= room)
  ready = math.max(ready, room)
  selection.refuse(exchange, 'stated', ready, key.provider, nil, model_class.of(key, model).name, key, model)
end

-- Adds an upstream if it may be tried. Configured limits are never exceeded, and an end of a limit that the provider
-- has stated is honoured. Poor health leaves an upstream out only while others can serve.
local function add(search, upstream)
  local exchange, key, model, now = search.exchange, upstream.key, upstream.model, search.now
  local state, ready, stated
  if upstream.credential ~= 'client' then state, ready, stated = health.key_limit(key, model, now) end
  if stated then return refuse_stated(search, upstream, ready) end
  if upstream.credential == 'own' and not has_room(exchange, upstream, now) then return end
  if state then return selection.leave_out(exchange, upstream, state, ready) end
  if search.ready then return selection.leave_out(exchange, upstream, search.state, search.ready) end
  search.list[#search.list + 1] = upstream
end

local function add_unjudged(search, upstream)
  search.list[#search.list + 1] = upstream
end

local function comes_before(a, b)
  local x, y = a.key, b.key
  if x.priority ~= y.priority then return x.priority > y.priority end
  if x.provider ~= y.provider then return x.provider.index < y.provider.index end
  if a.rank ~= b.rank then return a.rank < b.rank end
  return x.order < y.order
end

local function search_in(exchange, list, entry, now)
  local state, ready = circuits.state(entry.provider, entry.model, now)
  if unknown_models.has(entry.provider, entry.model, now) then state, ready = 'no_model', now end
  return { exchange = exchange, list = list, now = now, state = state, ready = ready }
end

local function add_all(exchange, list, entry, credential, now, only)
  local provider, model = entry.provider, entry.model
  local take = exchange.endpoint == 'messages' and add or add_unjudged
  local search = search_in(exchange, list, entry, now)
  if credential ~= 'own' then return take(search, new(provider.keyless, model, credential, 0)) end
  local rank, turn_number = key_order.rank(exchange, provider)
  for _, key in ipairs(only and { only } or provider.keys) do
    take(search, new(key, model, credential, rank and rank(key, now, turn_number, model) or 0))
  end
end

--- Whether the provider can be used by at least some clients: with its own credential or with theirs.
---@param provider ccrelay.Provider
---@return boolean
function M.is_usable(provider)
  return M.credential(provider, { kind = 'none' }) ~= nil or provider.transparent == true
end

--- Returns all upstreams that serve a model, in the order of failover when all are healthy and have room. It is for
--- display. Of the models that a provider lists, those that this process knows count.
---@param generation ccrelay.Generation
---@param model string
---@return { key: ccrelay.Key, model: string }[] with the name the model is sent under; empty where serves forbids it
function M.plan(generation, model)
  local list = {}
  for _, entry in ipairs(serving.of(generation, model)) do
    local keys = #entry.provider.keys > 0 and entry.provider.keys or { entry.provider.keyless }
    for _, key in ipairs(M.is_usable(entry.provider) and keys or {}) do
      list[#list + 1] = { key = key, model = entry.model, rank = 0 }
    end
  end
  table.sort(list, comes_before)
  return list
end

local function consider(exchange, list, entry, now, only)
  local provider = entry.provider
  local feature = features.missing(provider, exchange:features())
  if feature then return selection.refuse(exchange, 'unsupported', nil, provider, feature) end
  local credential = M.credential(provider, exchange.client)
  if not credential then return selection.refuse(exchange, 'none', nil, provider) end
  return add_all(exchange, list, entry, credential, now, only)
end

local function moment() return (C.cc_now()) end

-- Moves the keys of one organisation to the front within each priority.
local function prefer(list, org)
  local first, priority = 1, nil
  for index, upstream in ipairs(list) do
    if upstream.key.priority ~= priority then first, priority = index, upstream.key.priority end
    if upstream.key.org_tag == org then
      table.insert(list, first, table.remove(list, index))
      first = first + 1
    end
  end
end

-- Only the organisation that made a signature accepts it.
local function order_for_conversation(exchange, list)
  if exchange.endpoint ~= 'messages' or exchange.generation.choices < 2 then return end
  local known = affinity.of(exchange)
  if known and known.org and known.org ~= '' and exchange.has_signatures then prefer(list, known.org) end
end

--- Returns the candidates of an exchange, best first: the healthy ones, or the least unhealthy one if none is healthy.
--- Keeps them in the exchange.
---@param exchange ccrelay.Exchange
---@param filter { provider: string?, type: string? }?
---@return ccrelay.Upstream[]
function M.candidates(exchange, filter)
  local list, now = new_table(1, 0), moment()
  local model = exchange.model
  if not model then return list end
  local entries = serving.of(exchange.generation, model, filter)
  selection.begin(exchange, entries.forbidden)
  local having, only = file_keys.having_file(exchange, entries, M.credential)
  for _, entry in ipairs(having) do consider(exchange, list, entry, now, only) end
  local spare = #list == 0 and selection.take_spare(exchange)
  if spare then list[1] = spare.upstream end
  if #list > 1 then table.sort(list, comes_before) end
  order_for_conversation(exchange, list)
  selection.keep(exchange, list)
  return list
end

--- Waits until a key that had no room for the exchange may have some; false at once when that is too late.
---@param exchange ccrelay.Exchange
---@return boolean
function M.wait_for_room(exchange)
  local waited = wait_queue.wait(exchange)
  if waited then selection.clear_refusal(exchange) end
  return waited
end

local EVERY = {}

local function wait_for_some(exchange, filter)
  local list
  repeat
    list = M.wait_for_room(exchange) and M.candidates(exchange, filter)
  until not list or #list > 0
  -- With candidates it leaves when its attempt begins, so that nobody takes its room before that.
  if not list then wait_queue.leave(exchange) end
  return list or {}
end

--- Does the same for a policy, and waits for room if only limits exclude all upstreams and the wait is short enough.
---@param exchange ccrelay.Exchange
---@param filter { provider: string?, type: string?, wait: boolean? }?
---@return ccrelay.Upstream[]
function M.await(exchange, filter)
  local list = M.candidates(exchange, filter)
  local waits = wait_queue.wanted(exchange) and not (filter and filter.wait == false)
  selection.set_filter(exchange, waits and (filter or EVERY))
  if #list > 0 or not waits then return list end
  return wait_for_some(exchange, filter)
end

local function untried(exchange, list)
  local rest = {}
  for _, upstream in ipairs(list) do
    if not selection.is_tried(exchange, upstream.key) then rest[#rest + 1] = upstream end
  end
  return rest
end

--- Waits for room and returns the untried candidates that a limit excluded when the policy last asked. Returns none if
--- room would come too late, or if the policy does not wait. Must be called outside of scripts.
---@param exchange ccrelay.Exchange
---@return ccrelay.Upstream[]
function M.later(exchange)
  local list, filter = {}, selection.filter(exchange)
  while filter and #list == 0 and M.wait_for_room(exchange) do
    list = untried(exchange, M.candidates(exchange, filter))
  end
  if #list == 0 then wait_queue.leave(exchange) end
  return list
end

--- Returns an upstream of a given provider, for endpoints without a model.
---@param provider ccrelay.Provider
---@param client ccrelay.Client
---@param key ccrelay.Key? which of its keys; nil: the first
---@return ccrelay.Upstream?
function M.at(provider, client, key)
  local credential = M.credential(provider, client)
  if not credential then return nil end
  return new(credential == 'own' and (key or provider.keys[1]) or provider.keyless, nil, credential, 0)
end

return M
