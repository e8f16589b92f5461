-- SPDX-License-Identifier: Apache-2.0
-- Shared by the schemes that send a fetched token as Authorization: Bearer.
local cache = require 'ccrelay.credentials.cache'

local M = {}

--- Adds the token to a request. Waits for it if it must be fetched.
---@param request ccrelay.Request
---@param upstream ccrelay.Upstream
---@return { token: string }? value what the source gave; nil if there is no token
---@return string? message why not
function M.add(request, upstream)
  local value, message = cache.get(request.exchange, upstream.key.provider.source)
  if not value then return nil, message end
  request:header('authorization', 'Bearer ' .. value.token)
  return value
end

--- Voids a token that the provider answered with 401, so that the next attempt fetches a new one.
---@param outcome ccrelay.Outcome
---@param upstream ccrelay.Upstream
---@return boolean again whether to try the same upstream again
function M.recover(outcome, upstream)
  if outcome.status ~= 401 then return false end
  cache.void(upstream.key.provider.source, outcome.attempt.credential)
  return true
end

return M
