-- SPDX-License-Identifier: Apache-2.0
-- Decides which failures count against a provider. A request that a client repeats because it has failed counts once,
-- however often it fails, so one client's bad prompt opens no circuit.
--
-- The text of a breaker's cell is "REASON DIGEST DIGEST ...": why it is open ("-": nothing to add), and the
-- requests that counted last.
local C = require 'ccrelay.c'
local breaker = require 'ccrelay.health.breaker'
local sha256 = require 'ccrelay.util.sha256'
local ffi = require 'ffi'

local M = {}

local PART = 65536  -- bytes at each end of a body that go into its digest, together with its size
local MOST = 16     -- digests kept; 8 hex digits each
local NO_REASON = '-'

local slice = ffi.new 'struct cc_slice'
local buffer = ffi.new 'char[192]'

-- Empty once the answer has begun, because the body may be freed by then.
local function body_of(exchange)
  if C.cc_request_body(exchange.relay, exchange.handle, slice) ~= C.CC_OK or slice.size == 0 then return '' end
  local part = math.min(slice.size, PART)
  return sha256.of(slice.data, part) .. sha256.of(slice.data + (slice.size - part), part)
end

local function client_of(exchange)
  if exchange.client.name then return exchange.client.name end
  local header = exchange.header
  return header['x-api-key'] or header.authorization or ''
end

-- The digest of the client and its request. For a body that is freed only its size counts.
local function digest_of(exchange, bytes)
  local parts = { client_of(exchange), exchange.model or '', bytes or exchange.body_bytes, body_of(exchange) }
  return sha256.hex(table.concat(parts, '\0'), 4)
end

local function text_of(number)
  return ffi.string(buffer, C.cc_cell_text(number, buffer, 192))
end

local function parts_of(number)
  local reason, digests = string.match(text_of(number), '^(%S+) ?(.*)$')
  return reason or NO_REASON, digests or ''
end

local function write(number, reason, digests)
  local text = reason .. ' ' .. digests
  C.cc_cell_write(number, text, #text)
end

--- Returns the reason of a breaker, as given to M.explain; '-' without one.
---@param number integer the breaker's cell
---@return string
function M.reason(number)
  return (parts_of(number))
end

--- Records why a breaker is open.
---@param number integer
---@param reason string? one word
function M.explain(number, reason)
  local _, digests = parts_of(number)
  write(number, reason or NO_REASON, digests)
end

--- Records that the request of an exchange failed at a breaker. Returns false if the same request counts already.
---@param exchange ccrelay.Exchange
---@param number integer the breaker's cell
---@param bytes number? size of the request's body, once its answer has begun
---@return boolean counts
function M.add(exchange, number, bytes)
  local known = exchange.evidence
  if not known then
    known = { digest = digest_of(exchange, bytes), breakers = {} }
    exchange.evidence = known
  end
  local reason, digests = parts_of(number)
  if string.find(digests, known.digest, 1, true) then return false end
  known.breakers[#known.breakers + 1] = number
  digests = digests .. known.digest .. ' '
  write(number, reason, string.sub(digests, -MOST * 9))
  return true
end

--- Counts a failure that the request may have caused: once, however often the request is repeated.
---@param exchange ccrelay.Exchange
---@param number integer the breaker's cell
---@param rules ccrelay.BreakerRules
---@param probe any whether the attempt is or was a probe
---@param bytes number? size of the request's body, once its answer has begun
---@return boolean opened whether this opened the breaker
function M.count(exchange, number, rules, probe, bytes)
  if M.add(exchange, number, bytes) then return breaker.failure(number, probe, rules, C.cc_now()) end
  if type(probe) == 'number' then breaker.withdraw(number, probe) end
  return false
end

--- Forgets the failures of an exchange that was served in the end: if the same request comes again, it counts anew.
---@param exchange ccrelay.Exchange
function M.drop(exchange)
  if not exchange.evidence then return end
  for _, number in ipairs(exchange.evidence.breakers) do
    local reason, digests = parts_of(number)
    write(number, reason, (string.gsub(digests, exchange.evidence.digest .. ' ', '')))
  end
end

return M
