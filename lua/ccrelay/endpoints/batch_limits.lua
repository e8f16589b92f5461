-- SPDX-License-Identifier: Apache-2.0
-- Counts every request of a new batch towards the rpm_limit of its client and of the key that creates it. Tokens are
-- not counted: they are known only with the results, and providers have limits of their own for batches.
local C = require 'ccrelay.c'
local respond = require 'ccrelay.exchange.respond'
local clients = require 'ccrelay.limits.clients'
local ffi = require 'ffi'
local messages = require 'ccrelay.endpoints.messages'
local text = require 'ccrelay.util.text'

local M = {}

local PATH = 'requests'

local slice = ffi.new 'struct cc_slice'
local reservation_type = ffi.typeof 'struct cc_reservation'
local wait = ffi.new 'double[1]'

-- The number of requests in the body, at least 1. Whether the body is a valid batch, the provider says.
local function count_of(exchange)
  if C.cc_request_body(exchange.relay, exchange.handle, slice) ~= C.CC_OK then return 1 end
  return math.max(C.cc_json_count(slice.data, slice.size, PATH, #PATH), 1)
end

-- A batch of more than a minute's requests would never have room.
local function too_large(exchange, count, rate, whose)
  respond.error(exchange, 413, string.format('a batch of %s is more than the %d a minute (rpm_limit) of %s: '
    .. 'send smaller batches', text.count(count, 'request'), rate, whose),
    { failure = 'limited', should_retry = false })
  return false
end

local function no_room(exchange, count, rate, whose)
  local seconds = math.max(math.ceil(wait[0] / 1000), 1)
  respond.error(exchange, 429, string.format('a batch of %s is more than what is left of the %d a minute '
    .. '(rpm_limit) of %s; there is room in %d s', text.count(count, 'request'), rate, whose, seconds),
    { failure = 'limited', retry_after = seconds })
  return false
end

local function no_counter(exchange, whose)
  respond.error(exchange, 529, 'there is no shared memory left to count for the limits of ' .. whose .. '; restart the '
    .. 'relay to free some', { failure = 'overloaded', should_retry = false })
  return false
end

local function reserve(exchange, limit, count, rate, whose)
  if count > rate then return too_large(exchange, count, rate, whose) end
  if limit < 0 then return no_counter(exchange, whose) end
  local reserved = reservation_type()
  if C.cc_limit_reserve_requests(limit, C.cc_now(), count, reserved, wait) ~= C.CC_OK then
    return no_room(exchange, count, rate, whose)
  end
  exchange.batch = exchange.batch or {}
  table.insert(exchange.batch, reserved)
  return true
end

local function reserve_client(exchange, count)
  local allowance = exchange.client.allowance
  if not allowance or allowance.requests == 0 then return true end
  return reserve(exchange, clients.limit(allowance), count, allowance.requests, 'client "' .. allowance.name .. '"')
end

local function reserve_key(exchange, upstream, count)
  local key = upstream.key
  local rate = upstream.credential == 'own' and key.rates and key.rates[1] or 0
  if rate == 0 then return true end
  return reserve(exchange, key.limit or -1, count, rate, 'the key ' .. key.id)
end

--- Refunds a batch that was not sent.
---@param exchange ccrelay.Exchange
function M.refund(exchange)
  for _, reserved in ipairs(exchange.batch or {}) do C.cc_limit_refund(reserved, C.cc_now()) end
  exchange.batch = false
end

--- Admits a new batch and reserves for its requests, or answers and returns false.
---@param exchange ccrelay.Exchange
---@param upstream ccrelay.Upstream where it will be made
---@return boolean
function M.admit(exchange, upstream)
  if not messages.accepts(exchange, true) then return false end
  local count = count_of(exchange)
  if reserve_client(exchange, count) and reserve_key(exchange, upstream, count) then return true end
  M.refund(exchange)
  return false
end

return M
