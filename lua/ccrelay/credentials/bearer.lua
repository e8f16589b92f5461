-- SPDX-License-Identifier: Apache-2.0
-- What schemes have in common whose credential is a token in Authorization.
local cache = require 'ccrelay.credentials.cache'

local M = {}

--- Adds the token to a request.
---@param request ccrelay.Request
---@param upstream ccrelay.Upstream
---@return { token: string }? value what the source gave
---@return string? message
function M.add(request, upstream)
  local value, message = cache.get(request.exchange, upstream.slot.provider.source)
  if not value then return nil, message end
  request:header('authorization', 'Bearer ' .. value.token)
  return value
end

--- A token that the provider refuses is fetched anew, once.
---@param outcome ccrelay.Outcome
---@param upstream ccrelay.Upstream
---@return boolean
function M.recover(outcome, upstream)
  if outcome.status ~= 401 then return false end
  cache.void(upstream.slot.provider.source, outcome.holder.credential)
  return true
end

return M
