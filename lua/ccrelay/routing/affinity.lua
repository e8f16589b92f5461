-- SPDX-License-Identifier: Apache-2.0
-- Where a conversation, be it of a session or of an agent in it, was served last: its prompt caches are
-- there, and the signatures in its history are that organisation's. Conversations share places, so that
-- there are no more cells than those; one that lost its place to another is as good as new.
local C = require 'ccrelay.c'
local bit = require 'bit'
local hashed_cell = require 'ccrelay.shared.hashed_cell'
local memoize = require 'ccrelay.util.memoize'
local sha256 = require 'ccrelay.util.sha256'

---@class ccrelay.Home
---@field cell integer
---@field mark string which conversation it is
---@field key string? id of the key that served it last
---@field org string? tag of its organisation
---@field cached number? tokens that were in the prompt cache then
---@field cached_until number? moment at which they are gone
---@field cached_model string? tag of the model they are for

local M = {}

local CELLS = 1024
local SHORT_MS, LONG_MS = 300000, 3600000 -- that prompt caches keep what nobody asks for
local BINDING = C.CC_HAS_SIGNATURES + C.CC_HAS_CACHE_CONTROL

-- exchange.affinity of an exchange that does not tell which conversation it is of.
local UNKNOWN = {}

--- The home of an exchange's conversation; nil when it does not tell which that is.
---@param exchange ccrelay.Exchange
---@return ccrelay.Home?
function M.of(exchange)
  local before = exchange.affinity
  if before then return before ~= UNKNOWN and before or nil end
  local session = exchange.session or exchange:field 'metadata.user_id'
  if type(session) ~= 'string' then
    exchange.affinity = UNKNOWN
    return nil
  end
  local number, mark = hashed_cell.find('home', CELLS, session .. ' ' .. (exchange.agent or ''))
  if number < 0 then return nil end
  local home, text = { cell = number, mark = mark, key = nil, org = nil }, hashed_cell.read(number, mark)
  if text then
    local cached, till
    home.key, home.org, cached, till, home.cached_model = string.match(text, '^(%S+) (%S*) (%d+) (%d+) (%S*)$')
    home.cached, home.cached_until = tonumber(cached), tonumber(till)
  end
  exchange.affinity = home
  return home
end

local function provider_of(key) return (string.match(key, '^[^/]+')) end

--- What it costs the conversation to be served by another key than last time: 'key', 'org' or
--- 'provider'; nil when it was not, or has nothing to lose.
---@param exchange ccrelay.Exchange
---@param key ccrelay.Key
---@return string?
function M.switch(exchange, key)
  local home = exchange.affinity
  if not home or not home.key or home.key == key.id then return nil end
  if bit.band(exchange.cache.feature_bits or 0, BINDING) == 0 then return nil end
  if provider_of(home.key) ~= key.provider.name then return 'provider' end
  return home.org ~= (key.org_tag or '') and 'org' or 'key'
end

local tag_of = memoize.results(function(model) return sha256.hex(model, 3) end)

--- Tokens of the conversation that a prompt cache holds; nil when it is not known which conversation
--- it is. Organisations have caches of their own.
---@param exchange ccrelay.Exchange
---@param key ccrelay.Key? where it would be served; nil: wherever it was
---@return number?
function M.cached(exchange, key)
  local home = M.of(exchange)
  if not home then return nil end
  if not home.cached or home.cached_until < C.cc_now() or home.cached_model ~= tag_of(exchange.model) then return 0 end
  if not key or key.id == home.key then return home.cached end
  return home.org ~= '' and home.org == key.org_tag and home.cached or 0
end

-- What an answer has read from the cache and written to it, which is there until nobody has asked for it
-- for its time.
local function cached_now(exchange, usage)
  if bit.band(exchange.cache.feature_bits or 0, C.CC_HAS_CACHE_CONTROL) == 0 then return nil end
  local tokens = usage.cache_read + usage.cache_5m + usage.cache_1h
  if tokens == 0 then return nil end
  local stays = usage.cache_1h > 0 and usage.cache_5m == 0 and LONG_MS or SHORT_MS
  return string.format('%d %d %s', tokens, C.cc_now() + stays, tag_of(exchange.model))
end

--- The conversation was served there.
---@param exchange ccrelay.Exchange
---@param key ccrelay.Key
---@param usage ffi.cdata*? struct cc_usage
function M.settle(exchange, key, usage)
  local home, org = exchange.affinity, key.org_tag or ''
  if not home or home == UNKNOWN then return end
  local same = home.key == key.id and home.org == org
  local cached = usage and cached_now(exchange, usage)
  if same and not cached then return end
  hashed_cell.write(home.cell, home.mark, key.id .. ' ' .. org .. ' ' .. (cached or '0 0 '))
end

return M
