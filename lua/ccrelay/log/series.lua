-- SPDX-License-Identifier: Apache-2.0
-- Counters with labels, over all workers. Each combination of values has a cell, whose text names it.
local C = require 'ccrelay.c'
local cell = require 'ccrelay.shared.cell'
local ffi = require 'ffi'
local slice = require 'ccrelay.util.slice'

local M = {}

local TEXT_BYTES = 192
local PREFIX = 'series:'

---@class ccrelay.Series the counters of one metric
---@field name string of the metric, without prefix ccrelay_
---@field labels string[] up to three
---@field cells table<string, table<string, table<string, integer>>> numbers of cells by values of the labels
local Series = {}
Series.__index = Series

--- Makes the counters of a metric.
---@param name string
---@param labels string[]
---@return ccrelay.Series
function M.new(name, labels)
  return setmetatable({ name = name, labels = labels, cells = {} }, Series)
end

--- Escapes a text for the value of a label.
---@param text string
---@return string
function M.escape(text)
  return (string.gsub(text, '[\\"\n]', { ['\\'] = '\\\\', ['"'] = '\\"', ['\n'] = '\\n' }))
end

--- Returns labels as they are written behind the name of a metric; "" without any.
---@param names string[]
---@param values string[]
---@return string
function M.text(names, values)
  local parts = {}
  for index, name in ipairs(names) do parts[index] = ('%s="%s"'):format(name, M.escape(values[index])) end
  return #parts > 0 and '{' .. table.concat(parts, ',') .. '}' or ''
end

local function find(self, a, b, c)
  local text = self.name .. M.text(self.labels, { a, b, c })
  local number = cell.number(PREFIX .. text)
  if number >= 0 then C.cc_cell_write(number, text, #text) end
  return number
end

local function table_at(parent, key)
  local found = parent[key]
  if not found then
    found = {}
    parent[key] = found
  end
  return found
end

--- Adds to the counter with these values of the labels. Does nothing if the table of cells is full.
---@param value number whole
---@param a string value of the first label
---@param b string? of the second
---@param c string? of the third
function Series:add(value, a, b, c)
  local cells = table_at(table_at(self.cells, a), b or '')
  local number = cells[c or '']
  if not number then
    number = find(self, a, b, c)
    cells[c or ''] = number
  end
  C.cc_cell_add(number, value)
end

--- Returns all counters with labels: the labels as text and the value of each, by name of the metric.
---@return table<string, { labels: string, value: number }[]>
function M.read()
  local found, name, buffer = {}, ffi.new 'struct cc_slice', ffi.new('char[?]', TEXT_BYTES)
  for number = 0, C.cc_cells() - 1 do
    C.cc_cell_name(number, name)
    if string.sub(slice.text(name), 1, #PREFIX) == PREFIX then
      local size = C.cc_cell_text(number, buffer, TEXT_BYTES)
      local metric, labels = string.match(ffi.string(buffer, size), '^([%w_]+)(.*)$')
      if metric then table.insert(table_at(found, metric), { labels = labels, value = C.cc_cell_get(number) }) end
    end
  end
  return found
end

return M
