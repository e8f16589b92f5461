-- SPDX-License-Identifier: Apache-2.0
-- Reads headers of the request from C.
local C = require 'ccrelay.c'
local border = require 'ccrelay.util.slice'
local ffi = require 'ffi'

local M = {}

local slice, line_name = ffi.new 'struct cc_slice', ffi.new 'struct cc_slice'

local text = border.text

--- The value of a header; of the first line if the client sent it in several.
---@param exchange ccrelay.Exchange
---@param name string in any case
---@return string?
function M.first(exchange, name)
  local code = C.cc_request_header(exchange.relay, exchange.handle, name, #name, slice)
  return code == C.CC_OK and text(slice) or nil
end

-- Headers that are lists: a client may send them in several lines (RFC 9110, section 5.3).
local LISTS = { ['anthropic-beta'] = true, tracestate = true }

local function joined_lines(exchange, name)
  local lines = {}
  for index = 0, math.huge do
    local code = C.cc_request_header_at(exchange.relay, exchange.handle, index, line_name, slice)
    if code ~= C.CC_OK then break end
    if string.lower(text(line_name)) == name then lines[#lines + 1] = text(slice) end
  end
  return table.concat(lines, ',')
end

--- Metatable of exchange.header.
M.Header = { __metatable = false }

function M.Header.__index(self, name)
  local exchange, wanted = rawget(self, 1), tostring(name)
  local value = M.first(exchange, wanted)
  local list = value and string.lower(wanted)
  return list and LISTS[list] and joined_lines(exchange, list) or value
end

function M.Header.__newindex()
  error('headers of the request are read-only', 2)
end

--- The headers of a request by name, in any case.
---@param exchange ccrelay.Exchange
---@return table<string, string?>
function M.of(exchange)
  return (setmetatable({ exchange }, M.Header))
end

return M
