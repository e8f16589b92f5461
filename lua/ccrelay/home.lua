-- SPDX-License-Identifier: Apache-2.0
-- Where a conversation was served last: its prompt caches are there, and the signatures in its history
-- are that organisation's. Conversations share places, so that there are no more cells than those; one
-- that lost its place to another is as good as new.
local C = require 'ccrelay.c'
local bit = require 'bit'
local cell = require 'ccrelay.cell'
local ffi = require 'ffi'

---@class ccrelay.Home
---@field cell integer
---@field mark number which conversation it is
---@field key string? id of the key that served it last
---@field org string? tag of its organisation

local M = {}

local PLACES = 1024
local BINDING = C.CC_HAS_SIGNATURES + C.CC_HAS_CACHE_CONTROL

local digest = ffi.new 'uint8_t[32]'
local buffer = ffi.new 'char[192]'

local function mark_of(session)
  C.cc_sha256(session, #session, digest)
  local mark = 1
  for index = 0, 5 do mark = mark * 256 + digest[index] end
  return mark
end

--- The home of an exchange's conversation; nil when it does not tell which that is.
---@param exchange ccrelay.Exchange
---@return ccrelay.Home?
function M.of(exchange)
  if exchange.home then return exchange.home end
  local session = exchange.session or exchange:field 'metadata.user_id'
  if type(session) ~= 'string' then return nil end
  local mark = mark_of(session)
  local home = { cell = cell.number('home:' .. mark % PLACES), mark = mark, key = nil, org = nil }
  if home.cell < 0 then return nil end
  if C.cc_cell_get(home.cell) == mark then
    local text = ffi.string(buffer, C.cc_cell_text(home.cell, buffer, 192))
    home.key, home.org = string.match(text, '^(%S+) (%S*)$')
  end
  exchange.home = home
  return home
end

local function provider_of(key) return (string.match(key, '^[^/]+')) end

--- What it costs the conversation to be served by another key than last time: 'key', 'org' or
--- 'provider'; nil when it was not, or has nothing to lose.
---@param exchange ccrelay.Exchange
---@param slot ccrelay.Slot
---@return string?
function M.switch(exchange, slot)
  local home = exchange.home
  if not home or not home.key or home.key == slot.id then return nil end
  if bit.band(exchange.cache.feature_bits or 0, BINDING) == 0 then return nil end
  if provider_of(home.key) ~= slot.provider.name then return 'provider' end
  return home.org ~= (slot.org_tag or '') and 'org' or 'key'
end

--- The conversation was served there.
---@param exchange ccrelay.Exchange
---@param slot ccrelay.Slot
function M.settle(exchange, slot)
  local home, org = exchange.home, slot.org_tag or ''
  if not home or home.key == slot.id and home.org == org then return end
  local text = slot.id .. ' ' .. org
  C.cc_cell_write(home.cell, text, #text)
  C.cc_cell_set(home.cell, home.mark)
end

return M
