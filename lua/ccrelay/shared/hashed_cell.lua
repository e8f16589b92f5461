-- SPDX-License-Identifier: Apache-2.0
-- Stores short texts by id in a bounded number of cells, which ids share by their hash. A cell holds the text of the id
-- that was written last, with a mark of that id; the text of another id of the same cell is lost then.
local C = require 'ccrelay.c'
local cell = require 'ccrelay.shared.cell'
local ffi = require 'ffi'
local sha256 = require 'ccrelay.util.sha256'

local M = {}

local TEXT_BYTES = 192
local MARK_BYTES = 8

local buffer = ffi.new('char[?]', TEXT_BYTES)

--- Returns the cell of an id, and its mark there.
---@param kind string the cells are named KIND:NUMBER
---@param cells integer how many cells there are of this kind
---@param id string
---@return integer number of the cell; negative if the table of cells is full
---@return string mark
function M.find(kind, cells, id)
  local mark = sha256.hex(id, MARK_BYTES)
  return cell.number(kind .. ':' .. tonumber(string.sub(mark, 1, 4), 16) % cells), mark .. ' '
end

--- Returns the text of an id, or nil if its cell holds the text of another id.
---@param number integer
---@param mark string
---@return string?
function M.read(number, mark)
  local size = number >= 0 and C.cc_cell_text(number, buffer, TEXT_BYTES) or 0
  local text = size > 0 and ffi.string(buffer, size) or ''
  return string.sub(text, 1, #mark) == mark and string.sub(text, #mark + 1) or nil
end

--- Stores the text of an id in its cell.
---@param number integer
---@param mark string
---@param text string
function M.write(number, mark, text)
  local marked = mark .. text
  if number >= 0 then C.cc_cell_write(number, marked, #marked) end
end

return M
