-- SPDX-License-Identifier: Apache-2.0
-- Remembers which key served a conversation last: its prompt cache is there, and the signatures in its history belong
-- to that organisation. An agent within a session is a conversation of its own. Conversations share a bounded number of
-- cells (shared/hashed_cell.lua); one whose cell another has taken counts as new.
local C = require 'ccrelay.c'
local bit = require 'bit'
local hashed_cell = require 'ccrelay.shared.hashed_cell'
local memoize = require 'ccrelay.util.memoize'
local sha256 = require 'ccrelay.util.sha256'

---@class ccrelay.Affinity
---@field cell integer
---@field mark string of the conversation, in its cell
---@field key string? id of the key that served it last
---@field org string? tag of its organisation
---@field cached number? tokens that were in the prompt cache then
---@field cached_until number? moment (cc_now) at which they expire
---@field cached_model string? tag of the model that they belong to

local M = {}

local CELLS = 1024
local SHORT_MS, LONG_MS = 300000, 3600000 -- lifetime of an unused entry of a prompt cache
local BINDING = C.CC_HAS_SIGNATURES + C.CC_HAS_CACHE_CONTROL

-- exchange.affinity of an exchange whose conversation is not known.
local UNKNOWN = {}

--- Returns what is known of the conversation of an exchange; nil if the request does not name one.
---@param exchange ccrelay.Exchange
---@return ccrelay.Affinity?
function M.of(exchange)
  local before = exchange.affinity
  if before then return before ~= UNKNOWN and before or nil end
  local conversation = exchange.conversation
  if not conversation then
    exchange.affinity = UNKNOWN
    return nil
  end
  local number, mark = hashed_cell.find('home', CELLS, conversation .. ' ' .. (exchange.agent or ''))
  if number < 0 then return nil end
  local known, text = { cell = number, mark = mark, key = nil, org = nil }, hashed_cell.read(number, mark)
  if text then
    local cached, till
    known.key, known.org, cached, till, known.cached_model = string.match(text, '^(%S+) (%S*) (%d+) (%d+) (%S*)$')
    known.cached, known.cached_until = tonumber(cached), tonumber(till)
  end
  exchange.affinity = known
  return known
end

local function provider_of(key) return (string.match(key, '^[^/]+')) end

--- Returns what changes for the conversation when this key serves it: 'key', 'org' or 'provider'; nil if nothing
--- changes, or if the request has neither signatures nor a cached prompt to lose.
---@param exchange ccrelay.Exchange
---@param key ccrelay.Key
---@return string?
function M.switch(exchange, key)
  local known = exchange.affinity
  if not known or not known.key or known.key == key.id then return nil end
  if bit.band(exchange.cache.feature_bits or 0, BINDING) == 0 then return nil end
  if provider_of(known.key) ~= key.provider.name then return 'provider' end
  return known.org ~= (key.org_tag or '') and 'org' or 'key'
end

local tag_of = memoize.results(function(model) return sha256.hex(model, 3) end)

--- Returns how many tokens of the conversation a prompt cache holds; nil if the conversation is not known. Each
--- organisation has a cache of its own.
---@param exchange ccrelay.Exchange
---@param key ccrelay.Key? that would serve it; nil: the one that served it last
---@return number?
function M.cached(exchange, key)
  local known = M.of(exchange)
  if not known then return nil end
  local is_of_model = known.cached_model == tag_of(exchange.model)
  if not known.cached or known.cached_until < C.cc_now() or not is_of_model then return 0 end
  if not key or key.id == known.key then return known.cached end
  return known.org ~= '' and known.org == key.org_tag and known.cached or 0
end

--- Returns how many tokens of the conversation's prompt cache are lost when this key serves it.
---@param exchange ccrelay.Exchange
---@param key ccrelay.Key
---@return number? nil when that is not known
function M.lost(exchange, key)
  local before = M.cached(exchange)
  return before and before - M.cached(exchange, key)
end

-- The tokens that an answer has read from the cache and written to it, and when they expire.
local function cached_now(exchange, usage)
  if bit.band(exchange.cache.feature_bits or 0, C.CC_HAS_CACHE_CONTROL) == 0 then return nil end
  local tokens = usage.cache_read + usage.cache_5m + usage.cache_1h
  if tokens == 0 then return nil end
  local stays = usage.cache_1h > 0 and usage.cache_5m == 0 and LONG_MS or SHORT_MS
  return string.format('%d %d %s', tokens, C.cc_now() + stays, tag_of(exchange.model))
end

--- Records that a key has served the conversation.
---@param exchange ccrelay.Exchange
---@param key ccrelay.Key
---@param usage ffi.cdata*? struct cc_usage
function M.record(exchange, key, usage)
  local known, org = exchange.affinity, key.org_tag or ''
  if not known or known == UNKNOWN then return end
  local same = known.key == key.id and known.org == org
  local cached = usage and cached_now(exchange, usage)
  if same and not cached then return end
  hashed_cell.write(known.cell, known.mark, key.id .. ' ' .. org .. ' ' .. (cached or '0 0 '))
end

return M
