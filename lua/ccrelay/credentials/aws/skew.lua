-- SPDX-License-Identifier: Apache-2.0
-- How far this machine's clock is off AWS's, learned from an answer, shared by all workers.
local C = require 'ccrelay.c'
local cell = require 'ccrelay.shared.cell'
local date = require 'ccrelay.util.date'

local M = {}

local TOLERATED_MS = 4 * 60000

local NAMES = {
  RequestTimeTooSkewed = true, SignatureDoesNotMatch = true, InvalidSignatureException = true, RequestExpired = true,
}

--- Whether an error of this name may come from a wrong clock.
---@param name string?
---@return boolean
function M.is_suspect(name)
  return NAMES[name] or false
end

local function number_of(name)
  return cell.number('skew:' .. name)
end

--- What the wall clock is behind the service's, in ms.
---@param name string whose skew
---@return number
function M.read(name)
  local number = number_of(name)
  return number >= 0 and C.cc_cell_get(number) or 0
end

--- What the wall clock is behind the one that wrote a Date header, or nil.
---@param header string?
---@param now number
---@return number?
function M.measure(header, now)
  local at = header and date.http(header)
  return at and math.floor(at - now + 0.5)
end

--- Remembers the skew when it is plainly another than the one that was used.
---@param name string
---@param header string? Date of the answer
---@param now number
---@param used number
---@return boolean learned
function M.learn(name, header, now, used)
  local measured, number = M.measure(header, now), number_of(name)
  if not measured or math.abs(measured - used) <= TOLERATED_MS or number < 0 then return false end
  C.cc_cell_set(number, measured)
  return true
end

--- A moment of the service's clock in that of this machine, when the two are plainly apart.
---@param at number
---@param header string? Date of the answer it came with
---@param now number
---@return number
function M.here(at, header, now)
  local measured = M.measure(header, now)
  return measured and math.abs(measured) > TOLERATED_MS and at - measured or at
end

return M
