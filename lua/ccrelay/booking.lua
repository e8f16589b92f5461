-- SPDX-License-Identifier: Apache-2.0
-- What limits are booked for an exchange before it is sent, and what it has used when it is over.
local C = require 'ccrelay.c'
local Outcome = require 'ccrelay.outcome'
local bit = require 'bit'
local calibration = require 'ccrelay.calibration'
local home = require 'ccrelay.home'

local M = {}

local LEAST_SHARE = 0.02   -- of a request that is new to its prompt cache
local EVENT_BYTES = 120    -- of an event of a stream that carries text, without the text

local function new_share(exchange, total, slot)
  if bit.band(exchange.feature_bits, C.CC_HAS_CACHE_CONTROL) == 0 then return 1 end
  if slot and slot.provider:counts_cache_reads(exchange.model) then return 1 end
  local cached = home.cached(exchange, slot)
  if not cached then return calibration.new_share(exchange.model) end
  return math.max(1 - cached / total, LEAST_SHARE)
end

--- Tokens to reserve: input that counts towards limits, for what comes from a prompt cache does not
--- where the provider does not count it, and output.
---@param exchange ccrelay.Exchange
---@param slot ccrelay.Slot? where it would be sent; nil: wherever
---@return number input
---@return number output
function M.estimate(exchange, slot)
  local input, output = exchange:estimate()
  if input == 0 then return input, output end
  return math.ceil(input * new_share(exchange, input, slot)), output
end

--- Tokens of output that an answer has had: as counted, of a stream that broke off at least by its bytes,
--- for it tells its output at the end only.
---@param report ffi.cdata* struct cc_report, with usage
---@param model string?
---@return number
function M.output(report, model)
  if report.usage_final then return report.usage.output end
  local text = report.response_bytes - report.events * EVENT_BYTES
  return math.max(report.usage.output, math.floor(text / calibration.bytes_per_token(model or '')))
end

--- What an answer has used. Of one that broke off not less than was reserved.
---@param ticket ffi.cdata* struct cc_ticket
---@param report ffi.cdata* struct cc_report, with usage
---@param slot ccrelay.Slot? who answered
---@param model string?
---@return number input
---@return number output
function M.used(ticket, report, slot, model)
  local input, output = Outcome.charged(report.usage, slot and slot.provider:counts_cache_reads(model))
  if report.usage_final then return input, output end
  local told = report.usage.input + report.usage.cache_read + report.usage.cache_5m + report.usage.cache_1h > 0
  return told and input or ticket.input_tokens, math.max(ticket.output_tokens, M.output(report, model))
end

return M
