-- SPDX-License-Identifier: Apache-2.0
-- Bounds the values of labels that come from requests and answers: over all workers each label has at most 64 values,
-- first come, first served. All others are reported as "other".
local C = require 'ccrelay.c'
local cell = require 'ccrelay.shared.cell'
local ffi = require 'ffi'

local M = {}

M.MOST, M.OTHER = 64, 'other'

local LONGEST = 56 -- bytes of a value: the labels of a counter have to fit into the text of a cell
local TEXT_BYTES = 192

local sets = {}
local buffer = ffi.new('char[?]', TEXT_BYTES)

-- The values of a label are the texts of the cells label:NAME:1 and so on; the cell labels:NAME counts them.
local function set_of(label)
  local set = sets[label]
  if not set then
    set = { known = {}, seen = 0, count = cell.number('labels:' .. label) }
    sets[label] = set
  end
  return set
end

local function place_of(label, index)
  return cell.number('label:' .. label .. ':' .. index)
end

-- Reads the values that other workers have added. One that is being written is read the next time.
local function refresh(set, label)
  local count = math.min(C.cc_cell_get(set.count), M.MOST)
  if count == set.seen then return count end
  local is_whole = true
  for index = 1, count do
    local size = C.cc_cell_text(place_of(label, index), buffer, TEXT_BYTES)
    if size > 0 then set.known[ffi.string(buffer, size)] = true else is_whole = false end
  end
  if is_whole then set.seen = count end
  return count
end

local function is_fit(value)
  return value ~= '' and #value <= LONGEST and not string.find(value, '[^\32-\126]') and not string.find(value, '["\\]')
end

local function add(set, label, value)
  local index = C.cc_cell_add(set.count, 1)
  if index > M.MOST then return M.OTHER end
  C.cc_cell_write(place_of(label, index), value, #value)
  set.known[value] = true
  return value
end

--- Returns the value to report: the value itself, or "other" if it has no place among the 64.
---@param label string
---@param value string
---@param may_add boolean whether a value that is not known yet takes a place
---@param clean (fun(text: string): string)? redacts secrets; a value that it changes is "other"
---@return string
function M.of(label, value, may_add, clean)
  local set = set_of(label)
  if set.known[value] then return value end
  local count = refresh(set, label)
  if set.known[value] then return value end
  if not may_add or set.count < 0 or count >= M.MOST or not is_fit(value) then return M.OTHER end
  if clean and clean(value) ~= value then return M.OTHER end
  return add(set, label, value)
end

--- The same for a value that may be any text, such as an error type that an upstream made up: it takes a place only
--- while half of them are free, so that there is room for those that mean something.
---@param label string
---@param value string
---@return string
function M.of_any(label, value)
  return M.of(label, value, C.cc_cell_get(set_of(label).count) < M.MOST / 2)
end

return M
