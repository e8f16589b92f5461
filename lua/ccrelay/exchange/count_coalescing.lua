-- SPDX-License-Identifier: Apache-2.0
-- Token counts that were asked for a moment ago: a client that asks the same thing many times at once
-- is answered by one question. Only the very same bytes of the same client, going to the same place.
local C = require 'ccrelay.c'
local cell = require 'ccrelay.shared.cell'
local each = require 'ccrelay.util.each'
local ffi = require 'ffi'
local sha256 = require 'ccrelay.util.sha256'
local wait = require 'ccrelay.sched.wait'

---@class ccrelay.Count one question
---@field waiting ccrelay.Exchange[]? who else wants to know; nil when it is over
---@field value string|false|nil the answer; false: the provider does not count

local M = {}

local KEPT_MS = 10000
local MOST_ENTRIES = 256
local MOST_BODY_BYTES = 256 * 1024 -- hashing holds up the loop

local slice = ffi.new 'struct cc_slice'

-- All that an answer may depend on, and all that clients differ in.
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

-- Makes room for one more: what is past its time goes, else what is nearest to it.
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

--- What another exchange was answered, or will be: waits for that. Nil when the exchange has to ask by
--- itself; M.tell then says what came of it.
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

--- What came of asking: an answer, false when the provider does not count, nil when there is none, so
--- that the others ask by themselves.
---@param exchange ccrelay.Exchange
---@param value string|false|nil
function M.tell(exchange, value)
  local entry = exchange.count
  if not entry then return end
  exchange.count = false
  for _, other in ipairs(entry.waiting) do wait.post(other, wait.SHARED) end
  entry.waiting, entry.value, entry.expires = nil, value, C.cc_now() + KEPT_MS
  if value == nil then
    entry.counts.entries[entry.key], entry.counts.count = nil, entry.counts.count - 1
  end
end

--- The exchange is over, with or without an answer.
---@param exchange ccrelay.Exchange
function M.leave(exchange)
  M.tell(exchange, nil)
end

return M
