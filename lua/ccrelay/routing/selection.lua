-- SPDX-License-Identifier: Apache-2.0
-- Keeps the state of an exchange's upstream selection: the candidates, the keys that were tried, why there was no
-- candidate, and the upstreams that were left out because others are healthier.
local learn = require 'ccrelay.health.learn'
local most_telling = require 'ccrelay.health.most_telling'
local new_table = require 'table.new'
local suspension = require 'ccrelay.health.suspension'

---@class ccrelay.Selection exchange.selection, written here only
---@field known ccrelay.Upstream[]|false the candidates so far, one for each key; false before the first search
---@field tried table<ccrelay.Key, boolean>
---@field refusal ccrelay.Refusal|false
---@field spare ccrelay.LeftOut|false the best of those left out
---@field last_spare ccrelay.LeftOut|false the best of those left out for a long time
---@field excluded ccrelay.Excluded[]|false every upstream and provider that was not a candidate, for the record
---@field filter table|false filter of the policy's last search, if it waits for room

---@class ccrelay.Refusal why there was no candidate
---@field kind 'none'|'not_allowed'|'unsupported'|'limited'|'stated'|'overloaded'
---@field ready number? earliest moment (cc_now) of recovery
---@field feature string?
---@field provider string?
---@field limit string? name of the limit whose end the provider stated
---@field key ccrelay.Key? whose limit that is

---@class ccrelay.Excluded
---@field key ccrelay.Key the provider's keyless one if none of its keys could serve
---@field model string?
---@field reason string kind of a ccrelay.Refusal, or a ccrelay.UpstreamState
---@field lack string? which feature or model class, or why a key is suspended
---@field ready number? moment (cc_now) at which it may serve

---@class ccrelay.LeftOut an upstream that is only tried when the others have failed
---@field upstream ccrelay.Upstream
---@field badness integer
---@field ready number moment (cc_now) at which it may be healthy again

local M = {}

local function selection_of(exchange)
  local own = exchange.selection
  if not own then
    own = { known = false, tried = new_table(0, 1), refusal = false, spare = false, last_spare = false, filter = false,
      excluded = false }
    exchange.selection = own
  end
  return own
end

--- Begins a search for candidates: forgets the upstreams that were left out before.
---@param exchange ccrelay.Exchange
---@param forbidden boolean? whether no provider may serve the model
function M.begin(exchange, forbidden)
  local own = selection_of(exchange)
  if forbidden then own.refusal = own.refusal or { kind = 'not_allowed' } end
  own.spare, own.last_spare = false, false
end

-- ---- What the record of the exchange tells -----------------------------------------------------

local MOST_EXCLUDED = 32

-- One entry is kept for each key, however often a script searches: the latest.
local function place_of(list, key)
  for index, other in ipairs(list) do
    if other.key == key then return index end
  end
  return #list + 1
end

local function exclude(own, key, model, reason, lack, ready)
  own.excluded = own.excluded or {}
  local place = place_of(own.excluded, key)
  if place > MOST_EXCLUDED then return end
  own.excluded[place] = { key = key, model = model, reason = reason, lack = lack, ready = ready }
end

-- ---- Refusals ----------------------------------------------------------------------------------

local WEAK = { none = true, not_allowed = true } -- any other reason replaces these

--- Notes why an upstream is not a candidate. Keeps one reason: the one with the earliest recovery, else the first.
---@param exchange ccrelay.Exchange
---@param kind string of a ccrelay.Refusal
---@param ready number? moment (cc_now) of recovery
---@param provider ccrelay.Provider
---@param feature string?
---@param limit string?
---@param key ccrelay.Key? nil: it holds for all of them
---@param model string? as it would be sent
function M.refuse(exchange, kind, ready, provider, feature, limit, key, model)
  local own = selection_of(exchange)
  exclude(own, key or provider.keyless, model, kind, feature, ready)
  local refusal = own.refusal
  if not refusal or not refusal.ready and (ready or WEAK[refusal.kind]) or ready and ready < refusal.ready then
    own.refusal = {
      kind = kind, ready = ready, provider = provider.name, feature = feature, limit = limit, key = key,
    }
  end
end

--- Returns why there was no candidate, if that is known.
---@param exchange ccrelay.Exchange
---@return ccrelay.Refusal?
function M.refusal(exchange)
  return exchange.selection and exchange.selection.refusal or nil
end

--- Forgets the refusal, because the exchange has waited and searches again.
---@param exchange ccrelay.Exchange
function M.clear_refusal(exchange)
  selection_of(exchange).refusal = false
end

-- ---- Candidates --------------------------------------------------------------------------------

--- Keeps the candidates that a search found.
---@param exchange ccrelay.Exchange
---@param list ccrelay.Upstream[]
function M.keep(exchange, list)
  local own = selection_of(exchange)
  local before, known = own.known, own.known or new_table(#list, 0)
  for index, upstream in ipairs(list) do known[before and place_of(known, upstream.key) or index] = upstream end
  own.known = known
end

--- Returns all candidates of an exchange so far.
---@param exchange ccrelay.Exchange
---@return ccrelay.Upstream[]
function M.known(exchange)
  return exchange.selection and exchange.selection.known or {}
end

--- Whether the policy searched for candidates and found none.
---@param exchange ccrelay.Exchange
---@return boolean
function M.were_none(exchange)
  local known = exchange.selection and exchange.selection.known
  return known and #known == 0
end

--- Keeps the policy's filter for later searches.
---@param exchange ccrelay.Exchange
---@param filter table|false false: the policy does not wait for room
function M.set_filter(exchange, filter)
  selection_of(exchange).filter = filter
end

--- Returns the filter of the policy's last search.
---@param exchange ccrelay.Exchange
---@return table|false filter
function M.filter(exchange)
  return exchange.selection and exchange.selection.filter
end

--- Records that a key is tried.
---@param exchange ccrelay.Exchange
---@param key ccrelay.Key
function M.mark_tried(exchange, key)
  selection_of(exchange).tried[key] = true
end

--- Whether a key was tried.
---@param exchange ccrelay.Exchange
---@param key ccrelay.Key
---@return boolean
function M.is_tried(exchange, key)
  return exchange.selection and exchange.selection.tried[key] or false
end

--- Whether an untried candidate of another provider remains.
---@param exchange ccrelay.Exchange
---@param current ccrelay.Upstream
---@return boolean
function M.remains(exchange, current)
  for _, other in ipairs(M.known(exchange)) do
    local elsewhere = other.key.provider ~= current.key.provider and not M.is_tried(exchange, other.key)
    if elsewhere and not learn.is_given_up(exchange, other) then return true end
  end
  return false
end

--- Frees what only the choice needed. What the record of the exchange tells stays.
---@param exchange ccrelay.Exchange
function M.free(exchange)
  local own = exchange.selection
  if not own then return end
  own.refusal, own.spare, own.last_spare, own.filter = false, false, false, false
end

-- ---- Upstreams that are left out ---------------------------------------------------------------

-- How bad each reason is. The least bad upstream is tried when none is healthy.
local BADNESS = { limited = 1, cooling = 2, half_open = 3, open = 4, aside = 5, no_model = 6 }

-- These reasons last for minutes or an hour, but end as soon as an operator mends them.
local LASTING = { aside = true, no_model = true }

local function is_less_bad(a, b)
  if a.badness ~= b.badness then return a.badness < b.badness end
  if a.ready ~= b.ready then return a.ready < b.ready end
  return a.upstream.key.priority > b.upstream.key.priority
end

--- Leaves an upstream out while others can serve. Keeps the best of those left out and, separately, the best of those
--- left out for a long time.
---@param exchange ccrelay.Exchange
---@param upstream ccrelay.Upstream
---@param why ccrelay.UpstreamState|'no_model'
---@param ready number moment (cc_now) at which it may be healthy again
function M.leave_out(exchange, upstream, why, ready)
  local own, place = selection_of(exchange), LASTING[why] and 'last_spare' or 'spare'
  local lack = why == 'aside' and string.match(suspension.reason(upstream.key), '^%a+') or nil
  exclude(own, upstream.key, upstream.model, why, lack, ready)
  local candidate = { upstream = upstream, badness = BADNESS[why], ready = ready }
  if not own[place] or is_less_bad(candidate, own[place]) then own[place] = candidate end
end

--- Takes the best upstream that was left out; if there is none, the best of those left out for a long time.
---@param exchange ccrelay.Exchange
---@return ccrelay.LeftOut|false
function M.take_spare(exchange)
  local own = selection_of(exchange)
  local place = own.spare and 'spare' or 'last_spare'
  local spare = own[place]
  own[place] = false
  return spare
end

-- An upstream without the model would only say so again. It is tried only if no failure so far tells the client more.
local function is_worth_trying(exchange, spare)
  if M.is_tried(exchange, spare.upstream.key) or learn.is_given_up(exchange, spare.upstream) then return false end
  if spare.badness ~= BADNESS.no_model then return true end
  local failure = most_telling.choose(exchange.outcomes)
  return failure ~= nil and most_telling.cannot_serve(failure)
end

--- Takes an upstream that was left out and is worth trying, once all others have failed in the exchange.
---@param exchange ccrelay.Exchange
---@return ccrelay.Upstream?
function M.next_spare(exchange)
  local spare = M.take_spare(exchange)
  if not spare then return nil end
  if not is_worth_trying(exchange, spare) then return M.next_spare(exchange) end
  spare.upstream.is_spare = true
  return spare.upstream
end

return M
