-- SPDX-License-Identifier: Apache-2.0
-- Remembers which models a provider said it does not have. Each worker does so for itself, until a reload.
local C = require 'ccrelay.c'

local M = {}

local KEPT_MS = 600000
local MOST = 1000 -- names of a provider

--- Records that a provider does not have a model.
---@param upstream ccrelay.Upstream with the name of the model that was sent
function M.add(upstream)
  local provider, model = upstream.key.provider, upstream.model
  local known = provider.unknown_models
  if known.count >= MOST then known = { count = 0, until_ms = {} } end
  if not known.until_ms[model] then known.count = known.count + 1 end
  known.until_ms[model] = C.cc_now() + KEPT_MS
  provider.unknown_models = known
end

--- Whether a provider said recently that it does not have a model.
---@param provider ccrelay.Provider
---@param model string as it is sent
---@param now number
---@return boolean
function M.has(provider, model, now)
  local until_ms = provider.unknown_models.until_ms[model]
  return until_ms ~= nil and until_ms > now
end

return M
