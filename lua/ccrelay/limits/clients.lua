-- SPDX-License-Identifier: Apache-2.0
-- Limits of named clients: requests and tokens per minute, and concurrent exchanges. They apply across all workers.
local C = require 'ccrelay.c'
local reservation = require 'ccrelay.limits.reservation'
local cell = require 'ccrelay.shared.cell'
local ffi = require 'ffi'
local retry_after = require 'ccrelay.limits.retry_after'
local text = require 'ccrelay.util.text'

local M = {}

---@class ccrelay.Allowance
---@field name string of the client
---@field requests number per minute; 0: unlimited
---@field tokens number per minute; 0: unlimited
---@field open number concurrent exchanges; 0: unlimited

local reservation_type = ffi.typeof 'struct cc_reservation'
local rates = ffi.new 'struct cc_rates'
local wait = ffi.new 'double[1]'
local facts = ffi.new 'struct cc_worker'

---@class ccrelay.Admission exchange.admission, written here only: how it counts towards its client's limits
---@field open string|false name of the client for which it counts as an open exchange
---@field reserved ffi.cdata*|false its reservation

local function admission_of(exchange)
  local own = exchange.admission
  if not own then
    own = { open = false, reserved = false }
    exchange.admission = own
  end
  return own
end

local own_slot = 0

--- Returns the limits of a client of the configuration; nil if it has none.
---@param client table
---@return ccrelay.Allowance?
function M.allowance(client)
  local requests, tokens, open = client.rpm_limit or 0, client.tpm_limit or 0, client.max_concurrent or 0
  if requests + tokens + open == 0 then return nil end
  return { name = client.name, requests = requests, tokens = tokens, open = open }
end

-- A worker that dies cannot count down, so each counts in a cell of its own, which its replacement resets.
local function counter(name, slot)
  return cell.number('open:' .. slot .. ':' .. name)
end

--- Resets the counters of this worker's slot, when it starts.
---@param slot integer
---@param configuration table
function M.attach(slot, configuration)
  own_slot = slot
  for _, client in ipairs((configuration.server.auth or {}).clients or {}) do
    if (client.max_concurrent or 0) > 0 then C.cc_cell_set(counter(client.name, slot), 0) end
  end
end

local function open_of(name)
  local slot, count = 0, 0
  repeat
    count = count + C.cc_cell_get(counter(name, slot))
    slot = slot + 1
  until C.cc_worker(slot, facts) ~= C.CC_OK
  return count
end

---@class ccrelay.ClientRefusal
---@field message string for the client
---@field retry_after number? seconds; nil: waiting does not help

local function refusal(message, seconds)
  return { message = message, retry_after = seconds }
end

--- Returns the limit that counts a client's requests and tokens.
---@param allowance ccrelay.Allowance
---@return integer limit negative if shared memory has no room for one
function M.limit(allowance)
  local name = cell.fit('client:' .. allowance.name)
  local limit = C.cc_limit(name, #name)
  rates.requests, rates.tokens, rates.input_tokens, rates.output_tokens = allowance.requests, allowance.tokens, 0, 0
  C.cc_limit_configure(limit, rates)
  return limit
end

local function reserve(exchange, allowance)
  if allowance.requests + allowance.tokens == 0 then return nil end
  local limit = M.limit(allowance)
  if limit < 0 then
    return refusal(string.format('there is no shared memory left to count for the limits of client "%s"; restart '
      .. 'the relay to free some', allowance.name))
  end
  local reserved = reservation_type()
  local now = C.cc_now()
  local input, output = reservation.estimate(exchange, nil, { allowance.requests, allowance.tokens, 0, 0 })
  if C.cc_limit_reserve(limit, now, input, output, reserved, wait) ~= C.CC_ELIMIT then
    admission_of(exchange).reserved = reserved
    reservation.expect(exchange, now)
    return nil
  end
  local seconds = math.max(math.ceil(reservation.soonest(exchange, limit, now, wait[0]) / 1000), 1)
  return refusal(string.format('client "%s" has reached its limit per minute; try again in %d s', allowance.name,
    seconds), seconds)
end

--- Counts an exchange towards the limits of its client.
---@param exchange ccrelay.Exchange
---@return ccrelay.ClientRefusal? refusal nil: it may go on; a refused exchange does not count
function M.enter(exchange)
  local allowance = exchange.client.allowance
  if not allowance then return nil end
  if allowance.open > 0 then
    C.cc_cell_add(counter(allowance.name, own_slot), 1)
    admission_of(exchange).open = allowance.name
    if open_of(allowance.name) > allowance.open then
      M.leave(exchange, nil)
      return refusal(string.format('client "%s" has reached its limit of %s at a time', allowance.name,
        text.count(allowance.open, 'request')), retry_after.SOON)
    end
  end
  local refused = reserve(exchange, allowance)
  if refused then M.leave(exchange, nil) end
  return refused
end

--- Stops counting an exchange as open.
---@param exchange ccrelay.Exchange
function M.close(exchange)
  local own = exchange.admission
  if not (own and own.open) then return end
  C.cc_cell_add(counter(own.open, own_slot), -1)
  own.open = false
end

--- Accounts for an exchange that has ended: the actual usage replaces the estimate. If nothing was sent, everything is
--- refunded; if everything that was sent was refused, only the tokens are.
---@param exchange ccrelay.Exchange
---@param report ffi.cdata*? struct cc_report
function M.leave(exchange, report)
  M.close(exchange)
  local own, attempts = exchange.admission, exchange.attempts
  local reserved = own and own.reserved
  if not reserved then return end
  own.reserved = false
  if not report or not (attempts and attempts.sent) then return C.cc_limit_refund(reserved, C.cc_now()) end
  if not attempts.billed and not report.usage_known then return C.cc_limit_commit(reserved, C.cc_now(), 0, 0) end
  local chosen = attempts.chosen
  C.cc_limit_commit(reserved, C.cc_now(), reservation.used(exchange, reserved, report, chosen and chosen.key,
    chosen and chosen.upstream.model))
end

return M
