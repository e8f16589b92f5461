-- SPDX-License-Identifier: Apache-2.0
-- Keeps answers in which a provider has stated until when a key is at its limit, for all workers. Until then the relay
-- repeats the answer instead of asking again.
local C = require 'ccrelay.c'
local sha256 = require 'ccrelay.util.sha256'
local each = require 'ccrelay.util.each'
local api_error = require 'ccrelay.util.api_error'
local ffi = require 'ffi'
local json = require 'ccrelay.util.json'

---@class ccrelay.StatedLimit
---@field name string of the limit: which key, which class of models
---@field status integer
---@field body string? as received, in the shape of the Messages API
---@field type string of the error
---@field message string
---@field headers table<string, string> those that pass to a client
---@field until_ms number cc_time() at which the provider takes requests again

local M = {}

-- The limits share this many places; each has two to choose from. A limit without a place gets a message of the relay.
local PLACES = 128
local MOST_BODY = 4 * 1024 -- a longer body is replaced by a message of the relay
local BUFFER = 12 * 1024

local buffer = ffi.new('char[?]', BUFFER)
local version = ffi.new 'uint32_t[1]'

local function places_of(name)
  local list, first = {}, sha256.number(name, 2)
  for index = 0, 1 do
    local place = 'stated limit ' .. (first + index) % PLACES
    list[index + 1] = C.cc_secret(place, #place)
  end
  return list
end

-- Returns the answer at a place, unless its limit has ended.
local function read(place)
  local size = C.cc_secret_read(place, buffer, BUFFER, version)
  local kept = size > 0 and json.decode(ffi.string(buffer, size))
  return type(kept) == 'table' and kept.until_ms > C.cc_time() and kept or nil
end

-- Returns the first place that is free or holds an earlier answer of the same limit.
local function place_for(name)
  local places = places_of(name)
  for _, place in ipairs(places) do
    local kept = read(place)
    if not kept or kept.name == name then return place end
  end
  return places[1]
end

local function headers_of(outcome)
  local headers = {}
  for name, value in each(outcome.headers) do
    if api_error.travels(name) then headers[name] = value end
  end
  return headers
end

--- Keeps the answer that stated the end of a limit.
---@param name string of the limit
---@param outcome ccrelay.Outcome
---@param wait_ms number until the limit is over
function M.keep(name, outcome, wait_ms)
  local body, ends = outcome.body or '', C.cc_time() + wait_ms
  local whole = outcome.shaped and not outcome.cut and #body <= MOST_BODY
  local text = json.encode {
    name = name, status = outcome.status, type = outcome.type, headers = headers_of(outcome), until_ms = ends,
    message = string.sub(api_error.told_message(outcome), 1, MOST_BODY), body = whole and body or nil,
  }
  C.cc_secret_write(place_for(name), text, #text, ends)
end

--- Returns the answer kept for a limit that has not ended yet, or nil.
---@param name string
---@return ccrelay.StatedLimit?
function M.find(name)
  for _, place in ipairs(places_of(name)) do
    local kept = read(place)
    if kept and kept.name == name then return kept end
  end
  return nil
end

return M
