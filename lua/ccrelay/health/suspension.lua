-- SPDX-License-Identifier: Apache-2.0
-- Suspends keys that a provider does not accept (401, 403), or whose account must pay first (402). All processes share
-- the suspensions.
local C = require 'ccrelay.c'
local cell = require 'ccrelay.shared.cell'
local ffi = require 'ffi'

local M = {}

local MINUTE = 60000
local SUSPENDED_MS = { unauthorized = 10 * MINUTE, billing = 60 * MINUTE }

local text = ffi.new 'char[192]'

--- Suspends a key.
---@param key ccrelay.Key
---@param reason 'unauthorized'|'billing'
---@param detail string? what the provider said, in a few words
function M.suspend(key, reason, detail)
  cell.extend(key.suspended, C.cc_now() + SUSPENDED_MS[reason], reason .. (detail and ': ' .. detail or ''))
end

--- Returns until when (cc_now) a key is suspended; nil if it is not.
---@param key ccrelay.Key
---@param now number
---@return number?
function M.ends(key, now)
  local until_ms = C.cc_cell_get(key.suspended)
  return until_ms > now and until_ms or nil
end

--- Returns why a key is suspended: "unauthorized" or "billing", and what the provider said.
---@param key ccrelay.Key
---@return string
function M.reason(key)
  return ffi.string(text, C.cc_cell_text(key.suspended, text, 192))
end

local function end_if_unauthorized(key)
  if string.find(M.reason(key), '^unauthorized') then C.cc_cell_set(key.suspended, 0) end
end

--- Ends the suspension of keys that were not accepted, because a reload may have mended the cause. Suspensions for
--- billing stay.
---@param generation ccrelay.Generation
function M.forget(generation)
  for _, provider in ipairs(generation.providers) do
    end_if_unauthorized(provider.keyless)
    for _, key in ipairs(provider.keys) do end_if_unauthorized(key) end
  end
end

return M
