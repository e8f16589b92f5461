-- SPDX-License-Identifier: Apache-2.0
-- Coalesces count_tokens requests: equal requests of one client at the same time make one request upstream, whose
-- answer is kept for a few seconds. Only the same bytes of the same client to the same upstream are equal.
local C = require 'ccrelay.c'
local cell = require 'ccrelay.shared.cell'
local each = require 'ccrelay.util.each'
local ffi = require 'ffi'
local sha256 = require 'ccrelay.util.sha256'
local wait = require 'ccrelay.sched.wait'

---@class ccrelay.Count exchange.count, written here only: one request upstream
---@field waiting ccrelay.Exchange[]? exchanges that wait for its answer; nil when it is over
---@field value string|false|nil the answer; false: the provider does not count

local M = {}

local KEPT_MS = 10000
local MOST_ENTRIES = 256
local MOST_BODY_BYTES = 256 * 1024 -- hashing blocks the loop

local slice = ffi.new 'struct cc_slice'

-- A digest of all that an answer may depend on, and of who the client is.
local function key_of(exchange, upstream)
  if C.cc_request_body(exchange.relay, exchange.handle, slice) ~= C.CC_OK or slice.size > MOST_BODY_BYTES then
    return nil
  end
  local client, header = exchange.client, exchange.header
  local parts = {
    sha256.of(slice.data, slice.size), client.kind, client.name or '', header.authorization or '',
    header['x-api-key'] or '', upstream.provider, upstream.model or '', upstream.credential, exchange.path,
    exchange.query, header['anthropic-beta'] or '', header['anthropic-version'] or '',
  }
  for index, part in ipairs(parts) do parts[index] = #part .. ':' .. part end
  local text = table.concat(parts)
  return sha256.of(text)
end

-- Makes room for one more entry: removes the expired ones, else the one that expires next.
local function make_room(counts, now)
  if counts.count < MOST_ENTRIES then return true end
  local first
  for key, entry in each(counts.entries) do
    if not entry.waiting and entry.expires <= now then
      counts.entries[key], counts.count = nil, counts.count - 1
    elseif not entry.waiting and (not first or entry.expires < counts.entries[first].expires) then
      first = key
    end
  end
  if counts.count < MOST_ENTRIES then return true end
  if not first then return false end
  counts.entries[first], counts.count = nil, counts.count - 1
  return true
end

local function begin(exchange, counts, key, now)
  if not counts.entries[key] then
    if not make_room(counts, now) then return end
    counts.count = counts.count + 1
  end
  local entry = { waiting = {}, key = key, counts = counts, expires = 0, value = nil }
  counts.entries[key] = entry
  exchange.count = entry
end

--- The answer to an equal request, waited for if it is not there yet. Nil when the exchange has to ask an upstream; it
--- then calls M.notify with the answer.
---@param exchange ccrelay.Exchange
---@param upstream ccrelay.Upstream
---@return string|false|nil
function M.ask(exchange, upstream)
  local key = key_of(exchange, upstream)
  if not key then return nil end
  local counts, now = exchange.generation.counts, C.cc_now()
  local entry = counts.entries[key]
  if entry and entry.waiting then
    entry.waiting[#entry.waiting + 1] = exchange
    wait.await(exchange, wait.SHARED)
  elseif not entry or entry.expires <= now then
    return begin(exchange, counts, key, now)
  end
  if entry.value ~= nil then cell.add('count:shared_counts', 1) end
  return entry.value
end

--- Passes an answer on to the exchanges that wait: false when the provider does not count; nil when there is no answer,
--- so that they ask themselves.
---@param exchange ccrelay.Exchange
---@param value string|false|nil
function M.notify(exchange, value)
  local entry = exchange.count
  if not entry then return end
  exchange.count = false
  for _, other in ipairs(entry.waiting) do wait.post(other, wait.SHARED) end
  entry.waiting, entry.value, entry.expires = nil, value, C.cc_now() + KEPT_MS
  if value == nil then
    entry.counts.entries[entry.key], entry.counts.count = nil, entry.counts.count - 1
  end
end

--- The exchange is over.
---@param exchange ccrelay.Exchange
function M.leave(exchange)
  M.notify(exchange, nil)
end

return M
