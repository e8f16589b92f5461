-- SPDX-License-Identifier: Apache-2.0
-- Remembers which key made a file or a batch, for all workers and over reloads: only that key's workspace has it.
local hashed_cell = require 'ccrelay.shared.hashed_cell'

local M = {}

local CELLS = 4096

--- A key has made what has this id.
---@param id string
---@param key ccrelay.Key of a generation in force
function M.note(id, key)
  local number, mark = hashed_cell.find('maker', CELLS, id)
  hashed_cell.write(number, mark, key.name)
end

--- The key that made what has this id; nil when that is not known, or the key is not configured any more.
---@param generation ccrelay.Generation
---@param id string
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

--- Who has a batch or file: the key that made it; where that is not known, or there is none yet, the first key of the
--- first provider that has such.
---@param exchange ccrelay.Exchange
---@param feature 'batches'|'files'
---@param id string? of the batch or file
---@param credential_of ccrelay.CredentialOf
---@return ccrelay.Provider? provider nil when nobody has such
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

--- Of the providers that serve a model only the one that has the file which a message names, if it is one of them:
--- every other would answer that there is no such file.
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
