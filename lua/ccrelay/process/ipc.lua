-- SPDX-License-Identifier: Apache-2.0
-- Messages between the processes of one relay. Texts arrive byte for byte, whatever they hold: files
-- need not be UTF-8, and every worker has to load the very bytes that the master has.
local C = require 'ccrelay.c'
local cjson = require 'cjson'
local ffi = require 'ffi'
local slice = require 'ccrelay.util.slice'

local M = {}

---@param message table
---@return string
function M.pack(message)
  return cjson.encode(message)
end

---@param text string
---@return table? message nil when it is none
function M.unpack(text)
  local ok, message = pcall(cjson.decode, text)
  return ok and type(message) == 'table' and message or nil
end

--- Sends a packed message: from the master to a worker's slot, from a worker to -1.
---@param relay ffi.cdata*
---@param slot integer
---@param text string
---@return integer code of C
function M.send(relay, slot, text)
  return C.cc_send(relay, slot, text, #text)
end

--- The message of the MESSAGE event just returned.
---@param relay ffi.cdata*
---@return table? message
function M.receive(relay)
  local bytes = ffi.new 'struct cc_slice'
  C.cc_message(relay, bytes)
  return M.unpack(slice.text(bytes))
end

return M
