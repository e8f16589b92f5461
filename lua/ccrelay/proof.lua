-- SPDX-License-Identifier: Apache-2.0
-- As long as no answer has told what requests to a model come to, each worker has one of them at a time
-- under way at a key with limits of tokens. A guess that is wrong may then take a minute over its limit
-- by that one request, not by all that come together.
local calibration = require 'ccrelay.calibration'

local M = {}

local SOON_MS = 1000 -- after which it is worth asking again

local function is_open(first, exchange)
  return first and first.exchange ~= exchange and first.attempt.open and not first.exchange.ended
end

--- How long an exchange would have to wait until a model is known: 0 when it may go.
---@param exchange ccrelay.Exchange
---@param slot ccrelay.Slot
---@return number milliseconds
function M.wait(exchange, slot)
  local model = exchange.model
  if not slot.counts_tokens or not model or calibration.is_known(model) then return 0 end
  return is_open(slot.unproven[calibration.place(model)], exchange) and SOON_MS or 0
end

--- An attempt begins: others wait for what it comes to, if nothing is known.
---@param exchange ccrelay.Exchange
---@param attempt ccrelay.Attempt
function M.begin(exchange, attempt)
  local slot, model = attempt.slot, exchange.model
  if not slot.counts_tokens or not model or calibration.is_known(model) then return end
  local place = calibration.place(model)
  if slot.unproven[place] ~= false then slot.unproven[place] = { exchange = exchange, attempt = attempt } end
end

--- A whole answer told nothing of usage: there is nothing to wait for at this key.
---@param exchange ccrelay.Exchange
---@param slot ccrelay.Slot
function M.waive(exchange, slot)
  if slot.counts_tokens and exchange.model then slot.unproven[calibration.place(exchange.model)] = false end
end

return M
