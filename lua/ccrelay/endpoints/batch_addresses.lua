-- SPDX-License-Identifier: Apache-2.0
-- Rewrites the addresses in batch objects to the relay's. The SDKs fetch results_url with their credential for the
-- relay, which must not be sent anywhere else.
local C = require 'ccrelay.c'
local ffi = require 'ffi'
local json = require 'ccrelay.util.json'

local M = {}

local QUOTE, BACKSLASH = '"', 92
local PATH = '/v1/messages/batches'

-- The position of the quote that ends the string that begins at from.
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

-- The relay's address for a JSON string that is an address; nil for any other string. A prefix before the path of
-- batches, as gateways have, is dropped.
local function moved(quoted, origin)
  local rest = string.match(decoded(quoted), '^[hH][tT][tT][pP][sS]?:[/\\]*[^/\\?#]*(.*)$')
  if not rest then return nil end
  local path = string.find(rest, PATH, 1, true)
  return json.encode(origin .. (path and string.sub(rest, path) or rest))
end

--- Replaces the origin of every string in a JSON text that is an http or https address, however it is escaped. All
--- other bytes stay as they are.
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
