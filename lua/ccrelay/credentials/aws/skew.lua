-- SPDX-License-Identifier: Apache-2.0
-- The skew between the clocks of this machine and of AWS. It is learned from the Date header of answers, and all
-- workers share it.
local C = require 'ccrelay.c'
local cell = require 'ccrelay.shared.cell'
local date = require 'ccrelay.util.date'

local M = {}

local TOLERATED_MS = 4 * 60000

local NAMES = {
  RequestTimeTooSkewed = true, SignatureDoesNotMatch = true, InvalidSignatureException = true, RequestExpired = true,
}

--- Tells whether an error of this name may come from a wrong clock.
---@param name string?
---@return boolean
function M.is_suspect(name)
  return NAMES[name] or false
end

local function number_of(name)
  return cell.number('skew:' .. name)
end

--- Returns how far this machine's clock is behind the service's.
---@param name string the provider
---@return number skew in ms
function M.read(name)
  local number = number_of(name)
  return number >= 0 and C.cc_cell_get(number) or 0
end

--- Returns how far a clock is behind the one that wrote a Date header; nil without a valid header.
---@param header string?
---@param now number in ms
---@return number? skew in ms
function M.measure(header, now)
  local at = header and date.http(header)
  return at and math.floor(at - now + 0.5)
end

--- Stores the skew if it differs clearly from the one that was used.
---@param name string
---@param header string? the Date header of the answer
---@param now number in ms
---@param used number the skew of the request, in ms
---@return boolean learned
function M.learn(name, header, now, used)
  local measured, number = M.measure(header, now), number_of(name)
  if not measured or math.abs(measured - used) <= TOLERATED_MS or number < 0 then return false end
  C.cc_cell_set(number, measured)
  return true
end

--- Converts a time of the service's clock to this machine's clock, if the two differ clearly.
---@param at number in ms
---@param header string? the Date header of the answer that the time came with
---@param now number in ms
---@return number
function M.here(at, header, now)
  local measured = M.measure(header, now)
  return measured and math.abs(measured) > TOLERATED_MS and at - measured or at
end

return M
