-- SPDX-License-Identifier: Apache-2.0
-- Remembers which key created a file or a batch, for all workers and across reloads: only that key's workspace has it.
local hashed_cell = require 'ccrelay.shared.hashed_cell'

local M = {}

local CELLS = 4096

--- Records that a key created a file or a batch.
---@param id string of the file or batch
---@param key ccrelay.Key
function M.note(id, key)
  local number, mark = hashed_cell.find('maker', CELLS, id)
  hashed_cell.write(number, mark, key.name)
end

--- Returns the key that created a file or a batch; nil if that is unknown, or if the key is no longer configured.
---@param generation ccrelay.Generation
---@param id string of the file or batch
---@return ccrelay.Key?
function M.find(generation, id)
  local name = hashed_cell.read(hashed_cell.find('maker', CELLS, id))
  for _, provider in ipairs(name and generation.providers or {}) do
    for _, key in ipairs(provider.keys) do
      if key.name == name then return key end
    end
  end
  return nil
end

---@alias ccrelay.CredentialOf fun(provider: ccrelay.Provider, client: ccrelay.Client): string? as upstream.credential

--- Returns the owner of a batch or file: the key that created it. If that is unknown, or without an id, it is the first
--- key of the first provider that supports the feature.
---@param exchange ccrelay.Exchange
---@param feature 'batches'|'files'
---@param id string? of the batch or file
---@param credential_of ccrelay.CredentialOf
---@return ccrelay.Provider? provider nil if no provider supports the feature
---@return ccrelay.Key? key nil when the provider has no keys
function M.keeper(exchange, feature, id, credential_of)
  local generation, client = exchange.generation, exchange.client
  local key = id and M.find(generation, id)
  if key and credential_of(key.provider, client) then return key.provider, key end
  for _, provider in ipairs(generation.providers) do
    if provider:supports(feature) and credential_of(provider, client) then return provider, provider.keys[1] end
  end
  return nil
end

--- Narrows the providers that serve a model to the one that has the file a message refers to, if it is among them. Any
--- other would answer that the file does not exist.
---@param exchange ccrelay.Exchange
---@param entries { provider: ccrelay.Provider, model: string }[]
---@param credential_of ccrelay.CredentialOf
---@return { provider: ccrelay.Provider, model: string }[] entries
---@return ccrelay.Key? only the key that has the file
function M.having_file(exchange, entries, credential_of)
  if not exchange.file_id then return entries end
  local provider, key = M.keeper(exchange, 'files', exchange.file_id, credential_of)
  for _, entry in ipairs(entries) do
    if entry.provider == provider then return { entry }, key end
  end
  return entries
end

return M
