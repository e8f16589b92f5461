-- SPDX-License-Identifier: Apache-2.0
-- Takes a request from its head to its endpoint: finds the route, identifies the client, checks the capacity, accepts
-- the body. It guarantees that no body is read before the client is identified.
local C = require 'ccrelay.c'
local access = require 'ccrelay.log.access'
local respond = require 'ccrelay.exchange.respond'
local client_auth = require 'ccrelay.exchange.client_auth'
local content_encoding = require 'ccrelay.exchange.content_encoding'
local ffi = require 'ffi'
local retry_after = require 'ccrelay.limits.retry_after'
local routes = require 'ccrelay.endpoints.routes'
local trace = require 'ccrelay.exchange.trace'
local wait = require 'ccrelay.sched.wait'

local M = {}

local DENIED = { should_retry = false }

-- Identifies the client. Returns false if it was refused.
local function enter(exchange)
  local rules, header = exchange.generation.auth, exchange.header
  if rules.open and exchange.peer ~= 'unix' and not client_auth.is_local(header.host, header.origin) then
    respond.error(exchange, 403, 'without server.auth this relay answers loopback names only (Host and Origin)', DENIED)
    return false
  end
  local client, reason = rules:identify(header.authorization, header['x-api-key'])
  if not client then
    respond.error(exchange, 401, reason or 'the relay does not know this key', DENIED)
    return false
  end
  exchange:identify(client)
  return true
end

local facts = ffi.new 'struct cc_worker'

local function is_full(exchange)
  local most = exchange.generation.configuration.server.max_concurrent or 0
  if most == 0 then return false end
  local slot, count = 0, 0
  while C.cc_worker(slot, facts) == C.CC_OK do
    count = count + facts.exchanges
    slot = slot + 1
  end
  return count > most
end

-- Answers 508 if this relay has sent the request itself. Returns whether it did.
local function has_come_back(exchange)
  if not C.cc_request_loops(exchange.relay, exchange.handle) then return false end
  respond.error(exchange, 508, 'this request has come back to the relay that sent it (CDN-Loop): '
    .. 'the base_url of a provider leads here', DENIED)
  return true
end

local function take_body(exchange)
  local code = C.cc_request_accept(exchange.relay, exchange.handle)
  if code == C.CC_ESTATE then
    wait.await(exchange, wait.BODY)
  elseif code ~= C.CC_OK then
    error('the body cannot be accepted: ' .. ffi.string(C.cc_error_text(code)), 0)
  end
end

--- Serves an exchange. Runs in the coroutine of the exchange.
---@param exchange ccrelay.Exchange
function M.run(exchange)
  if has_come_back(exchange) then return end
  local route, fault = routes.find(exchange.path)
  if not (route and route.free) and not enter(exchange) then return end
  if not route or route.minor then access.mark_minor(exchange) end
  if not route then
    return respond.error(exchange, 404, 'there is no ' .. exchange.path .. ' here')
  end
  if fault then
    return respond.error(exchange, 400, '"' .. exchange.path .. '" is not served: ' .. fault, { failure = 'bad_path' })
  end
  if not route.methods[exchange.method] then
    local message = exchange.path .. ' takes ' .. route.allow
    return respond.error(exchange, 405, message, { headers = { allow = route.allow } })
  end
  if route.free then return route.endpoint.serve(exchange) end
  trace.begin(exchange)
  if is_full(exchange) then
    return respond.error(exchange, 529, 'the relay is at its limit of exchanges (server.max_concurrent)',
      { retry_after = retry_after.SOON })
  end
  if route.decodes and not content_encoding.decode(exchange) then
    access.note_malformed(exchange)
    return
  end
  take_body(exchange)
  return route.endpoint.serve(exchange)
end

return M
