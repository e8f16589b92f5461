-- SPDX-License-Identifier: Apache-2.0
-- Candidates: at which upstreams an exchange may be tried, and in which order.
local C = require 'ccrelay.c'
local face = require 'ccrelay.face'
local features = require 'ccrelay.features'
local health = require 'ccrelay.health'
local home = require 'ccrelay.home'
local knock = require 'ccrelay.knock'
local listing = require 'ccrelay.listing'
local new_table = require 'table.new'
local queue = require 'ccrelay.queue'
local quota = require 'ccrelay.quota'
local random = require 'ccrelay.random'
local vault = require 'ccrelay.vault'

---@class ccrelay.Upstream a provider with one of its keys, as a policy sees it
---@field provider string configured name
---@field type string of the provider: the name of its adapter
---@field key_id string NAME/NUMBER, by the place of the key in the file
---@field priority integer higher goes first
---@field weight integer share, where shares are dealt
---@field model string the name the model would be sent under
---@field org string? whose key it is, as configured
---@field headroom number least free share of its limits, 0 to 1
---@field state ccrelay.UpstreamState ready when it is a candidate
local Upstream = {}
Upstream.__metatable = false

local M = {}

local MOST_REMEMBERED = 512

local views = {
  provider = function(slot) return slot.provider.name end,
  type = function(slot) return slot.provider.type end,
  key_id = function(slot) return slot.id end,
  priority = function(slot) return slot.priority end,
  weight = function(slot) return slot.weight end,
  org = function(slot) return slot.org end,
  headroom = function(slot, model) return quota.headroom(slot, model, C.cc_now()) end,
  state = function(slot, model) return (health.state(slot, C.cc_now(), model)) end,
}

function Upstream:__index(name)
  local view = views[name]
  return view and view(rawget(self, 'slot'), rawget(self, 'model')) or nil
end

face.define('upstream', Upstream, function(self, name)
  if name == 'model' then return self.model end
  return views[name] and self[name] or nil
end, function(_, name)
  error('upstream.' .. tostring(name) .. ' is read-only', 2)
end)

local function new(slot, model, credential, rank)
  return (setmetatable({ slot = slot, model = model, credential = credential, rank = rank, face = false }, Upstream))
end

--- Whether a value is an upstream.
---@param value any
---@return boolean
function M.is(value)
  return type(value) == 'table' and debug.getmetatable(value) == Upstream
end

--- Whose credentials an attempt at the provider uses for this caller: 'client', 'own' (its keys),
--- 'adapter' (without a key); nil when there are none it may use.
---@param provider ccrelay.Provider
---@param caller ccrelay.Caller
---@return string?
function M.credential(provider, caller)
  if caller.passes and provider.adapter.transparent then return 'client' end
  if #provider.slots > 0 then return 'own' end
  if provider.credentials ~= 'key' then return 'adapter' end
  return caller.kind ~= 'subscription' and provider.adapter.key_optional and 'adapter' or nil
end

-- The providers for a model with the name each knows it by, remembered per generation; forbidden tells
-- that there are providers, and that none of them may serve it.
local function serving_among(providers, model)
  local allowed, list = {}, {}
  for _, provider in ipairs(providers) do
    if provider:serves(model) then allowed[#allowed + 1] = provider end
  end
  for index, provider in ipairs(listing.having(allowed, model)) do
    list[index] = { provider = provider, model = provider:map(model) }
  end
  list.forbidden = #providers > 0 and #allowed == 0
  return list
end

local function serving(generation, model)
  if generation.serving_lists ~= listing.version then
    generation.serving, generation.serving_count, generation.serving_lists = {}, 0, listing.version
  end
  local known = generation.serving[model]
  if known then return known end
  known = serving_among(generation.providers, model)
  if generation.serving_count >= MOST_REMEMBERED then generation.serving, generation.serving_count = {}, 0 end
  generation.serving[model] = known
  generation.serving_count = generation.serving_count + 1
  return known
end

---@class ccrelay.Refusal why there was no candidate
---@field kind 'none'|'not_allowed'|'unsupported'|'limited'|'aside'|'overloaded'
---@field ready number? the soonest moment of recovery
---@field feature string?
---@field provider string?

local WEAK = { none = true, not_allowed = true } -- they say less than any other

local function refuse(exchange, kind, ready, provider, feature)
  local refusal = exchange.refusal
  if not refusal or not refusal.ready and (ready or WEAK[refusal.kind]) or ready and ready < refusal.ready then
    exchange.refusal = { kind = kind, ready = ready, provider = provider.name, feature = feature }
  end
end

M.refuse = refuse

local NO_ROOM_MS = 30000

local function has_room(exchange, slot, model, now)
  if slot.uncounted then
    refuse(exchange, 'overloaded', now + NO_ROOM_MS, slot.provider)
    return false
  end
  if not slot.rates then return true end
  local delay, of_class = queue.delay(exchange, slot, model, now)
  if delay == 0 then return true end
  queue.note(exchange, slot, model, now + delay, of_class)
  refuse(exchange, 'limited', now + delay, slot.provider)
  return false
end

local KINDS = { limited = 'limited', aside = 'aside' }

local function is_usable(exchange, slot, model, credential, now)
  if exchange.endpoint ~= 'messages' then return true end
  local state, ready = health.state(slot, now, model)
  if ready then
    if state == 'limited' then
      local room = credential == 'own' and now + queue.delay(exchange, slot, model, now) or 0
      queue.note(exchange, slot, model, math.max(ready, room), ready >= room)
      ready = math.max(ready, room)
    end
    refuse(exchange, KINDS[state] or 'overloaded', ready, slot.provider)
    return false
  end
  return credential ~= 'own' or has_room(exchange, slot, model, now)
end

local ranks = {
  least_loaded = function(slot, now, _, model) return -quota.headroom(slot, model, now) end,
  random = function() return random.fraction() end,
  weighted = function(slot) return -math.log(1 - random.fraction()) / math.max(slot.weight, 1e-9) end,
  round_robin = function(slot, _, turn_number) return (slot.place - turn_number) % slot.peers end,
}

-- An exchange takes one turn at a provider, however often it asks for candidates.
local function turn_at(exchange, provider)
  if exchange.endpoint ~= 'messages' then return provider:turn() end
  local turns = exchange.turns or {}
  exchange.turns = turns
  turns[provider] = turns[provider] or provider:next_turn()
  return turns[provider]
end

local function rank_of(exchange, provider)
  local pooling = provider.settings.pooling or {}
  local strategy = pooling.strategy or 'least_loaded'
  if pooling.enabled == false or #provider.slots < 2 then return nil end
  return ranks[strategy], strategy == 'round_robin' and turn_at(exchange, provider)
end

local function comes_before(a, b)
  local x, y = a.slot, b.slot
  if x.priority ~= y.priority then return x.priority > y.priority end
  if x.provider ~= y.provider then return x.provider.index < y.provider.index end
  if a.rank ~= b.rank then return a.rank < b.rank end
  return x.order < y.order
end

local function add(exchange, list, entry, credential, now)
  local provider = entry.provider
  if credential ~= 'own' then
    local slot = provider.keyless
    if not is_usable(exchange, slot, entry.model, credential, now) then return end
    list[#list + 1] = new(slot, entry.model, credential, 0)
    return
  end
  local rank, turn_number = rank_of(exchange, provider)
  for _, slot in ipairs(provider.slots) do
    if is_usable(exchange, slot, entry.model, credential, now) then
      list[#list + 1] = new(slot, entry.model, credential, rank and rank(slot, now, turn_number, entry.model) or 0)
    end
  end
end

local function passes(provider, filter)
  if filter.provider ~= nil and filter.provider ~= provider.name then return false end
  return filter.type == nil or filter.type == provider.type
end

-- Who asks for certain providers gets what those can serve, whoever else names the model.
local function serving_for(generation, model, filter)
  if not filter or filter.provider == nil and filter.type == nil then return serving(generation, model) end
  local some = {}
  for _, provider in ipairs(generation.providers) do
    if passes(provider, filter) then some[#some + 1] = provider end
  end
  return serving_among(some, model)
end

local function consider(exchange, list, entry, now)
  local provider = entry.provider
  local feature = features.missing(provider, exchange:features())
  if feature then return refuse(exchange, 'unsupported', nil, provider, feature) end
  local credential = M.credential(provider, exchange.caller)
  if not credential then return refuse(exchange, 'none', nil, provider) end
  return add(exchange, list, entry, credential, now)
end

local function moment() return (C.cc_now()) end

-- Within a priority the keys of one organisation first.
local function prefer(list, org)
  local first, priority = 1, nil
  for index, upstream in ipairs(list) do
    if upstream.slot.priority ~= priority then first, priority = index, upstream.slot.priority end
    if upstream.slot.org_tag == org then
      table.insert(list, first, table.remove(list, index))
      first = first + 1
    end
  end
end

-- Signatures are worth something only to the organisation that made them.
local function order_for_conversation(exchange, list)
  if exchange.endpoint ~= 'messages' or exchange.generation.choices < 2 then return end
  local known = home.of(exchange)
  if known and known.org and known.org ~= '' and exchange.has_signatures then prefer(list, known.org) end
end

--- The candidates of an exchange, best first. Remembers them on the exchange.
---@param exchange ccrelay.Exchange
---@param filter { provider: string?, type: string? }?
---@return ccrelay.Upstream[]
function M.candidates(exchange, filter)
  local list, now = new_table(1, 0), moment()
  local model = exchange.model
  if not model then return list end
  local entries = serving_for(exchange.generation, model, filter)
  if entries.forbidden then exchange.refusal = exchange.refusal or { kind = 'not_allowed' } end
  for _, entry in ipairs(entries) do consider(exchange, list, entry, now) end
  if #list > 1 then table.sort(list, comes_before) end
  order_for_conversation(exchange, list)
  local known = exchange.candidates or new_table(#list, 0)
  for _, upstream in ipairs(list) do known[#known + 1] = upstream end
  exchange.candidates = known
  return list
end

local EVERY = {}

local function wait_for_some(exchange, filter)
  local list
  repeat
    list = queue.wait(exchange) and M.candidates(exchange, filter)
  until not list or #list > 0
  if not list then queue.leave(exchange) end -- else with its attempt: nobody is to take its room before that
  return list or {}
end

--- The same for a policy, which waits when limits alone stand against all of them, and not for long.
---@param exchange ccrelay.Exchange
---@param filter { provider: string?, type: string?, wait: boolean? }?
---@return ccrelay.Upstream[]
function M.await(exchange, filter)
  local list = M.candidates(exchange, filter)
  local waits = queue.wanted(exchange) and not (filter and filter.wait == false)
  exchange.filter = waits and (filter or EVERY)
  if #list > 0 or not waits then return list end
  return wait_for_some(exchange, filter)
end

local function untried(exchange, list)
  local rest = {}
  for _, upstream in ipairs(list) do
    if not exchange.tried[upstream.slot] then rest[#rest + 1] = upstream end
  end
  return rest
end

--- Candidates that a limit kept out when the policy last asked for some and that have not been tried, once
--- there is room. None when that would be too late, or the policy wants no waiting. Outside of scripts.
---@param exchange ccrelay.Exchange
---@return ccrelay.Upstream[]
function M.later(exchange)
  local list = {}
  while exchange.filter and #list == 0 and queue.wait(exchange) do
    list = untried(exchange, M.candidates(exchange, exchange.filter))
  end
  if #list == 0 then queue.leave(exchange) end
  return list
end

--- Whether an untried candidate remains beside the one at hand.
---@param exchange ccrelay.Exchange
---@param current ccrelay.Upstream
---@return boolean
function M.remains(exchange, current)
  for _, other in ipairs(exchange.candidates or {}) do
    if other.slot ~= current.slot and not exchange.tried[other.slot] then return true end
  end
  return false
end

--- An upstream at a given provider for endpoints that have no model.
---@param provider ccrelay.Provider
---@param caller ccrelay.Caller
---@return ccrelay.Upstream?
function M.at(provider, caller)
  local credential = M.credential(provider, caller)
  if not credential then return nil end
  return new(credential == 'own' and provider.slots[1] or provider.keyless, nil, credential, 0)
end

local function describe(slot, now)
  local state, ready = health.state(slot, now)
  return {
    id = slot.id, org = slot.org, priority = slot.priority, weight = slot.weight, state = state,
    headroom = quota.headroom(slot, nil, now),
    ready_in_ms = ready and math.max(math.ceil(ready - now), 0) or nil,
  }
end

--- Every provider with its keys and their states, without a secret: for status and lists.
---@param generation ccrelay.Generation
---@return table[]
function M.describe(generation)
  generation:attach()
  local list, now = {}, C.cc_now()
  for index, provider in ipairs(generation.providers) do
    local entry = { provider = provider.name, type = provider.type, breaker = health.breaker(provider, now), keys = {} }
    for place, slot in ipairs(provider.slots) do entry.keys[place] = describe(slot, now) end
    if #provider.slots == 0 then entry.keys[1] = describe(provider.keyless, now) end
    if entry.breaker ~= 'closed' then entry.probe = knock.last(provider, now) end
    entry.credentials = provider.source and vault.state(provider.source) or nil
    list[index] = entry
  end
  return list
end

return M
