-- SPDX-License-Identifier: Apache-2.0
-- Decides whether a client's own credential may be sent to a provider: only to Anthropic's API itself, or if the
-- configuration says so. All other providers get their own credential, never the client's.
local address = require 'ccrelay.net.address'

local M = {}

--- Tells whether a base URL is that of Anthropic's API: its host, over TLS, at the default port.
---@param base_url string?
---@return boolean
function M.is_anthropic(base_url)
  local url = base_url and address.url(base_url)
  return url ~= nil and url.scheme == 'https' and url.port == 443 and url.host:lower() == 'api.anthropic.com'
end

local function base_of(entry, adapter)
  return entry.base_url or (adapter.defaults or {}).base_url
end

--- Tells whether clients' own credentials are passed on to a provider.
---@param entry table of providers in the configuration
---@param adapter table of its type
---@return boolean
function M.of(entry, adapter)
  if entry.transparent ~= nil then return entry.transparent end
  return adapter.transparent == true and M.is_anthropic(base_of(entry, adapter))
end

--- Tells whether only the address keeps clients' credentials back: the entry does not set transparent, and at
--- Anthropic's own address they would be passed on.
---@param entry table
---@param adapter table
---@return boolean
function M.is_unsaid(entry, adapter)
  return entry.transparent == nil and adapter.transparent == true and not M.is_anthropic(base_of(entry, adapter))
end

return M
