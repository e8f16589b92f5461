-- SPDX-License-Identifier: Apache-2.0
-- The credential scheme key: sends the provider's key in one header, or passes on the client's own credential unchanged
-- where the configuration allows it.
local M = {}

local SUBSCRIPTION = 'sk-ant-oat'
local SUBSCRIPTION_BETA = 'oauth-2025-04-20' -- Anthropic refuses a subscription token without it

--- Whether a credential is the token of a Claude subscription.
---@param token string
---@return boolean
function M.is_subscription(token)
  return string.sub(token, 1, #SUBSCRIPTION) == SUBSCRIPTION and #token > #SUBSCRIPTION
end

local function pass_on(request, name)
  local value = request:client_header(name)
  if value and value ~= '' then request:header(name, value) end
end

-- Appends a beta to those of the request, unless it is there.
local function add_beta(request, beta)
  local list = request.beta_header or request:client_header 'anthropic-beta' or ''
  for name in string.gmatch(list, '[^,%s]+') do
    if name == beta then return end
  end
  request:header('anthropic-beta', list == '' and beta or list .. ',' .. beta)
end

--- Adds the credential to a request.
---@param request ccrelay.Request
---@param _ ccrelay.Upstream
---@param adapter table
---@return boolean ok always true
function M.apply(request, _, adapter)
  if request.credential == 'client' then
    pass_on(request, 'authorization')
    pass_on(request, 'x-api-key')
  elseif request.key then
    local token = M.is_subscription(request.key)
    if token then add_beta(request, SUBSCRIPTION_BETA) end
    if adapter.key_header == 'authorization' or token then
      request:header('authorization', 'Bearer ' .. request.key)
    else
      request:header(adapter.key_header or 'x-api-key', request.key)
    end
  end
  return true
end

--- Returns a warning if the provider has no credential to send.
---@param provider ccrelay.Provider
---@return { severity: string, message: string }[]
function M.examine(provider)
  if #provider.keys > 0 or provider.transparent or provider.adapter.key_optional then return {} end
  return { { severity = 'warning', message = 'it has no keys, so no request can go there: add one to keys' } }
end

return M
