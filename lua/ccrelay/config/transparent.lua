-- SPDX-License-Identifier: Apache-2.0
-- Whether a client's own credential may go to a provider: to Anthropic's API itself, or where the
-- configuration says so. Every other provider gets its own credential, never the client's.
local address = require 'ccrelay.net.address'

local M = {}

--- Whether a base address leads to Anthropic's API: its name, over TLS, at the usual port.
---@param base_url string?
---@return boolean
function M.is_anthropic(base_url)
  local url = base_url and address.url(base_url)
  return url ~= nil and url.scheme == 'https' and url.port == 443 and url.host:lower() == 'api.anthropic.com'
end

local function base_of(entry, adapter)
  return entry.base_url or (adapter.defaults or {}).base_url
end

--- Whether clients' own credentials are passed on to a provider.
---@param entry table of providers in the configuration
---@param adapter table of its type
---@return boolean
function M.of(entry, adapter)
  if entry.transparent ~= nil then return entry.transparent end
  return adapter.transparent == true and M.is_anthropic(base_of(entry, adapter))
end

--- Whether a provider would pass them on if it were at Anthropic's own address, and its entry says nothing.
---@param entry table
---@param adapter table
---@return boolean
function M.is_unsaid(entry, adapter)
  return entry.transparent == nil and adapter.transparent == true and not M.is_anthropic(base_of(entry, adapter))
end

return M
