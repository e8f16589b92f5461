-- SPDX-License-Identifier: Apache-2.0
-- Cells: named numbers and short texts in shared memory. All processes see the same values, and a reload keeps them.
local C = require 'ccrelay.c'
local ffi = require 'ffi'
local sha256 = require 'ccrelay.util.sha256'

local M = {}

local LONGEST_NAME = 63
local TEXT_BYTES = 192

local numbers = {}
local text_buffer = ffi.new('char[?]', TEXT_BYTES)

--- Shortens a name to the 63 bytes that a cell, limit or secret allows: a long one ends in a digest of the whole.
---@param name string
---@return string
function M.fit(name)
  if #name <= LONGEST_NAME then return name end
  return string.sub(name, 1, LONGEST_NAME - 17) .. '~' .. sha256.hex(name, 8)
end

--- Returns the number of the cell of this name, which is made if it is new.
--- The number is negative if the table of cells is full.
---@param name string
---@return integer
function M.number(name)
  local number = numbers[name]
  if not number then
    local short = M.fit(name)
    number = C.cc_cell(short, #short)
    if number >= 0 then numbers[name] = number end
  end
  return number
end

--- Adds to the cell of this name. Does nothing if the table of cells is full.
---@param name string
---@param value number
function M.add(name, value)
  C.cc_cell_add(M.number(name), value)
end

--- Sets a moment in a cell, and the reason for it, unless the moment there is later.
---@param number integer
---@param until_ms number
---@param why string
function M.extend(number, until_ms, why)
  for _ = 1, 16 do
    local known = C.cc_cell_get(number)
    if known >= until_ms then return end
    if C.cc_cell_swap(number, known, math.floor(until_ms)) then return C.cc_cell_write(number, why, #why) end
  end
end

---@class ccrelay.Cell
local Cell = {}

local OF_POLICY = { __index = Cell, __metatable = false }

-- Found when it is used: a script may name its cells while it is loaded, before the shared memory exists.
local function number_of(self)
  local number = M.number('policy:' .. self.name)
  if number < 0 then error('the table of cells is full: there is no room for "' .. self.name .. '"', 3) end
  return number
end

--- Returns the number, which is 0 at first.
---@return number
function Cell:get()
  return C.cc_cell_get(number_of(self))
end

--- Sets the number. Only whole numbers are kept: a fraction is cut off.
---@param value number
function Cell:set(value)
  C.cc_cell_set(number_of(self), value)
end

--- Adds and returns the new value. Only whole numbers are kept: a fraction is cut off.
---@param value number? 1 unless given
---@return number
function Cell:add(value)
  return C.cc_cell_add(number_of(self), value or 1)
end

--- Sets the number to desired if it is expected. Returns whether it was.
---@param expected number
---@param desired number
---@return boolean
function Cell:swap(expected, desired)
  return C.cc_cell_swap(number_of(self), expected, desired)
end

--- Returns the text of the cell.
---@return string
function Cell:text()
  local size = C.cc_cell_text(number_of(self), text_buffer, TEXT_BYTES)
  return size > 0 and ffi.string(text_buffer, size) or ''
end

--- Sets the text, of which 191 bytes are kept.
---@param text string
function Cell:write(text)
  C.cc_cell_write(number_of(self), text, #text)
end

--- Returns the cell that scripts know by this name. Their names cannot collide with those of the relay's own cells.
---@param name string
---@return ccrelay.Cell
function M.of_policy(name)
  if type(name) ~= 'string' or name == '' then error('relay.cell takes a name', 3) end
  return setmetatable({ name = name }, OF_POLICY)
end

return M
