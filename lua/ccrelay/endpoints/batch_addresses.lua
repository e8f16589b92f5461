-- SPDX-License-Identifier: Apache-2.0
-- Makes the addresses in batch objects lead to the relay. The SDKs fetch results_url with the credential they have
-- for the relay, which must go nowhere else.
local C = require 'ccrelay.c'
local ffi = require 'ffi'
local json = require 'ccrelay.util.json'

local M = {}

local QUOTE, BACKSLASH = '"', 92
local PATH = '/v1/messages/batches'

-- The place of the quote that ends the string which begins at from.
local function string_end(text, from)
  local at = string.find(text, '["\\]', from + 1)
  while at and string.byte(text, at) == BACKSLASH do at = string.find(text, '["\\]', at + 2) end
  return at
end

local function decoded(quoted)
  if not string.find(quoted, '\\', 1, true) then return string.sub(quoted, 2, -2) end
  local out = ffi.new('char[?]', #quoted)
  local size = C.cc_json_decode(quoted, #quoted, out, #quoted)
  return size >= 0 and ffi.string(out, size) or ''
end

-- A JSON string that is an address, as one of the relay's; nil for any other string. What a provider has in front of
-- the path of batches, a gateway's prefix, is the provider's own.
local function moved(quoted, origin)
  local rest = string.match(decoded(quoted), '^[hH][tT][tT][pP][sS]?:[/\\]*[^/\\?#]*(.*)$')
  if not rest then return nil end
  local path = string.find(rest, PATH, 1, true)
  return json.encode(origin .. (path and string.sub(rest, path) or rest))
end

--- The JSON text with every string in it that is an http or https address, however it is spelt, leading to the
--- origin; all other bytes stay as they are.
---@param text string valid JSON
---@param origin string "http://host:port"; "" makes paths of them
---@return string
function M.move(text, origin)
  local parts, kept, at = {}, 1, string.find(text, QUOTE, 1, true)
  while at do
    local last = string_end(text, at)
    if not last then break end
    local address = moved(string.sub(text, at, last), origin)
    if address then
      parts[#parts + 1] = string.sub(text, kept, at - 1) .. address
      kept = last + 1
    end
    at = string.find(text, QUOTE, last + 1, true)
  end
  return table.concat(parts) .. string.sub(text, kept)
end

return M
