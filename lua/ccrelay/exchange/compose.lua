-- SPDX-License-Identifier: Apache-2.0
-- Composes the request of an attempt: begins it in C with what C has to know, lets the adapter prepare it, and adds the
-- credential. Nothing is sent here.
local C = require 'ccrelay.c'
local call = require 'ccrelay.script.call'
local draft = require 'ccrelay.providers.draft'
local ffi = require 'ffi'
local handle = require 'ccrelay.script.handle'
local histograms = require 'ccrelay.log.histograms'
local trace = require 'ccrelay.exchange.trace'

local M = {}

local spec = ffi.new 'struct cc_attempt_spec'

local FRAMINGS = { eventstream = C.CC_FRAMING_EVENTSTREAM }

local function framing_of(exchange, attempt)
  if exchange.endpoint == 'passthrough' then
    return exchange.held_bytes and C.CC_FRAMING_MESSAGES or C.CC_FRAMING_OPAQUE
  end
  return FRAMINGS[attempt.key.provider.adapter.framing] or C.CC_FRAMING_MESSAGES
end

-- What counts as a success. An answer that the adapter reads itself may have any shape.
local function success_of(exchange, attempt)
  if exchange.held_bytes then return C.CC_SUCCESS_OBJECT end
  if exchange.endpoint ~= 'count_tokens' then return C.CC_SUCCESS_MESSAGE end
  return attempt.key.provider.adapter.count_tokens and C.CC_SUCCESS_OBJECT or C.CC_SUCCESS_COUNT
end

local function fill_spec(exchange, attempt)
  local generation = exchange.generation
  local configuration, gate = generation.configuration, generation.policy.gate
  spec.framing, spec.success = framing_of(exchange, attempt), success_of(exchange, attempt)
  spec.stream = exchange.endpoint == 'messages' and exchange.stream
  spec.head_ms = attempt.patience or configuration.server.timeout_ms
  spec.gate_bytes, spec.gate_ms = exchange.held_bytes or gate.bytes, exchange.held_bytes and 0 or gate.ms
  spec.gate_opens = not attempt.more
  local reserved = attempt.reserved
  local admission = exchange.admission
  spec.entries[0] = admission and admission.reserved and admission.reserved.entry or 0
  spec.entries[1], spec.entries[2] = reserved and reserved[0].entry or 0, reserved and reserved[1].entry or 0
  spec.gaps = spec.stream and histograms.number('event_gap', attempt.key.provider.name) or -1
  return spec
end

local function begin(exchange, origin, filled)
  return (C.cc_attempt_begin(exchange.relay, exchange.handle, origin, filled))
end

--- Begins an attempt in C.
---@param exchange ccrelay.Exchange
---@param attempt ccrelay.Attempt
---@param origin integer
---@return integer number of the attempt; negative: an error
function M.begin(exchange, attempt, origin)
  return (begin(exchange, origin, fill_spec(exchange, attempt)))
end

local function apply_edits(exchange, request)
  if not exchange.edits then return end
  for _, edit in ipairs(exchange.edits) do
    if edit.json then request:set_json(edit.name, edit.json) else request:remove(edit.name) end
  end
end

--- Prepares the request of an attempt that has begun. Errors of the adapter propagate.
---@param exchange ccrelay.Exchange
---@param attempt ccrelay.Attempt
---@return boolean? ready nil: there is no credential for it
---@return string? message
function M.prepare(exchange, attempt)
  local provider = attempt.key.provider
  local adapter = provider.adapter
  local request = draft.new(exchange, attempt.number, attempt.upstream)
  if exchange.endpoint == 'messages' then apply_edits(exchange, request) end
  C.cc_attempt_pass_headers(exchange.relay, exchange.handle, attempt.number, provider.passes, #provider.passes)
  if adapter.prepare then
    call.adapter(adapter.prepare, handle.new(request), handle.of(attempt.upstream))
  else
    request:pass()
  end
  if exchange.trace then trace.propagate(exchange, attempt, request) end
  return provider.scheme.apply(request, attempt.upstream, adapter)
end

return M
