-- SPDX-License-Identifier: Apache-2.0
-- Chooses the key that a client sends to the relay.
local fault = require 'ccrelay.util.fault'

local M = {}

local function key_of(client)
  if client.key then return client.key end
  return nil, ('only the digest of the key of "%s" is known'):format(fault.printable(client.name))
end

--- Tells whether server.auth asks for a key.
---@param auth table
---@return boolean
function M.is_needed(auth)
  return #(auth.api_key or {}) + #(auth.clients or {}) > 0 or auth.bearer_secret ~= ''
end

--- Returns the key of a named client, else the first of server.auth.
---@param auth table
---@param name string?
---@return string? key
---@return string? message why there is none
function M.of(auth, name)
  for _, one in ipairs(auth.clients or {}) do
    if one.name == name then return key_of(one) end
  end
  if name then return nil, ('server.auth.clients has no "%s"'):format(fault.printable(name)) end
  local bearer = auth.bearer_secret ~= '' and auth.bearer_secret or nil
  local key = (auth.api_key or {})[1] or bearer
  if key then return key end
  local clients = auth.clients or {}
  if #clients == 1 then return key_of(clients[1]) end
  return nil, #clients == 0 and 'the configuration asks for no key' or 'there are several clients; choose with --client'
end

return M
