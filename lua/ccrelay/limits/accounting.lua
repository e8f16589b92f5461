-- SPDX-License-Identifier: Apache-2.0
-- Accounts for an exchange that has ended: its reservations are committed with the actual usage, or refunded, and the
-- token estimator learns from the usage.
local C = require 'ccrelay.c'
local bit = require 'bit'
local clients = require 'ccrelay.limits.clients'
local reservation = require 'ccrelay.limits.reservation'
local token_estimate = require 'ccrelay.limits.token_estimate'

local M = {}

-- Whether the provider counted tokens for the bytes of the request only: not for content elsewhere, such as images.
local function is_text(exchange)
  local elsewhere = bit.band(exchange.cache.feature_bits or 0, C.CC_HAS_IMAGE_URL + C.CC_HAS_PDF) ~= 0
  return not (elsewhere or exchange.media or exchange.edits)
end

local function learn_input(exchange, report, model)
  local usage = report.usage
  local written = usage.input + usage.cache_5m + usage.cache_1h
  local tokens = written + usage.cache_read
  if is_text(exchange) then token_estimate.learn(model, report.request_bytes, tokens) end
  if bit.band(exchange.cache.feature_bits or 0, C.CC_HAS_CACHE_CONTROL) ~= 0 then
    token_estimate.learn_new(model, written, tokens)
  end
end

-- A whole answer without usage counts as one of usual length, so that the model counts as known.
local function learn(exchange, report, chosen)
  local model = exchange.endpoint == 'messages' and chosen and exchange.cache.model
  if not model or report.status ~= 200 then return end
  if report.usage_known then learn_input(exchange, report, model) end
  if not report.usage_final and report.error ~= C.CC_OK then return end
  local most = exchange.cache.max_tokens or 0
  local output = report.usage_final and report.usage.output or token_estimate.output(model)
  token_estimate.learn_output(model, most > 0 and math.min(output, most) or output)
end

--- Commits or refunds the reservations of an exchange, after its attempts have ended.
---@param exchange ccrelay.Exchange
---@param report ffi.cdata* struct cc_report
---@param chosen ccrelay.Attempt|false|nil attempt whose answer the client got
function M.settle(exchange, report, chosen)
  if chosen and chosen.reserved then reservation.commit_report(exchange, chosen, report) end
  clients.leave(exchange, report)
  learn(exchange, report, chosen)
end

return M
