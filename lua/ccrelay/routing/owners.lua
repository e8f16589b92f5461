-- SPDX-License-Identifier: Apache-2.0
-- Remembers which key made a file or a batch, for all workers and over reloads: only that key's workspace has it.
-- There are as many places as there are, and ids share them: one that lost its place to another is unknown again.
local C = require 'ccrelay.c'
local cell = require 'ccrelay.shared.cell'
local ffi = require 'ffi'

local M = {}

local PLACES = 4096
local TEXT_BYTES = 192

local buffer = ffi.new('char[?]', TEXT_BYTES)

-- The cell an id has its place in, and what its text begins with there.
local function place_of(id)
  local mark = cell.digest(id, 8)
  return cell.number('maker:' .. tonumber(string.sub(mark, 1, 4), 16) % PLACES), mark .. ' '
end

--- A key has made what has this id.
---@param id string
---@param slot ccrelay.Slot of a generation in force
function M.note(id, slot)
  local number, mark = place_of(id)
  local text = mark .. slot.name
  if number >= 0 then C.cc_cell_write(number, text, #text) end
end

--- The key that made what has this id; nil when that is not known, or the key is not configured any more.
---@param generation ccrelay.Generation
---@param id string
---@return ccrelay.Slot?
function M.find(generation, id)
  local number, mark = place_of(id)
  local size = number >= 0 and C.cc_cell_text(number, buffer, TEXT_BYTES) or 0
  local text = size > 0 and ffi.string(buffer, size) or ''
  if string.sub(text, 1, #mark) ~= mark then return nil end
  local name = string.sub(text, #mark + 1)
  for _, provider in ipairs(generation.providers) do
    for _, slot in ipairs(provider.slots) do
      if slot.name == name then return slot end
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
---@return ccrelay.Slot? slot nil when the provider has no keys
function M.keeper(exchange, feature, id, credential_of)
  local generation, client = exchange.generation, exchange.client
  local slot = id and M.find(generation, id)
  if slot and credential_of(slot.provider, client) then return slot.provider, slot end
  for _, provider in ipairs(generation.providers) do
    if provider:supports(feature) and credential_of(provider, client) then return provider, provider.slots[1] end
  end
  return nil
end

--- Of the providers that serve a model only the one that has the file which a message names, if it is one of them:
--- every other would answer that there is no such file.
---@param exchange ccrelay.Exchange
---@param entries { provider: ccrelay.Provider, model: string }[]
---@param credential_of ccrelay.CredentialOf
---@return { provider: ccrelay.Provider, model: string }[] entries
---@return ccrelay.Slot? only the key that has the file
function M.having_file(exchange, entries, credential_of)
  if not exchange.file_id then return entries end
  local provider, slot = M.keeper(exchange, 'files', exchange.file_id, credential_of)
  for _, entry in ipairs(entries) do
    if entry.provider == provider then return { entry }, slot end
  end
  return entries
end

return M
