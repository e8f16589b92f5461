-- SPDX-License-Identifier: Apache-2.0
-- Sends messages between the master and its workers. It guarantees that texts arrive byte for byte: files need not be
-- UTF-8, and every worker has to load the same bytes as the master.
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
---@return table? message nil if the text is not a message
function M.unpack(text)
  local ok, message = pcall(cjson.decode, text)
  return ok and type(message) == 'table' and message or nil
end

--- Sends a packed message: from the master to the slot of a worker, from a worker to -1, the master.
---@param relay ffi.cdata*
---@param slot integer
---@param text string
---@return integer code CC_OK or a negative enum cc_error
function M.send(relay, slot, text)
  return C.cc_send(relay, slot, text, #text)
end

--- Returns the message of the MESSAGE event that was just returned.
---@param relay ffi.cdata*
---@return table? message
function M.receive(relay)
  local bytes = ffi.new 'struct cc_slice'
  C.cc_message(relay, bytes)
  return M.unpack(slice.text(bytes))
end

return M
