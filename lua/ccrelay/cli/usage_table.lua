-- SPDX-License-Identifier: Apache-2.0
-- Formats an answer of /usage as a table with aligned figures.
local json = require 'ccrelay.util.json'

local M = {}

local NONE = '-'

---@class ccrelay.UsageColumn
---@field title string
---@field text fun(row: table): string

local function sum_of(...)
  local names = { ... }
  return function(row)
    local sum = 0
    for _, name in ipairs(names) do sum = sum + row[name] end
    return ('%d'):format(sum)
  end
end

-- A cost of which a part is not known is followed by a +.
local function cost_text(row)
  if row.cost == json.null then return 'unknown' end
  return ('%.4f%s'):format(row.cost, row.cost_unknown > 0 and '+' or '')
end

---@type ccrelay.UsageColumn[]
local FIGURES = {
  { title = 'requests', text = sum_of 'requests' }, { title = 'errors', text = sum_of 'errors' },
  { title = 'input', text = sum_of 'input_tokens' }, { title = 'cache read', text = sum_of 'cache_read_tokens' },
  { title = 'cache write', text = sum_of('cache_write_5m_tokens', 'cache_write_1h_tokens') },
  { title = 'output', text = sum_of 'output_tokens' }, { title = 'cost', text = cost_text },
}

local function name_text(value)
  if value == nil or value == '' then return NONE end
  return json.plain(value)
end

local function cells_of(row, by)
  local cells = {}
  for index, name in ipairs(by) do cells[index] = name_text(row[name]) end
  for _, column in ipairs(FIGURES) do cells[#cells + 1] = column.text(row) end
  return cells
end

local function titles(by)
  local cells = {}
  for index, name in ipairs(by) do cells[index] = name end
  for _, column in ipairs(FIGURES) do cells[#cells + 1] = column.title end
  return cells
end

local function total_cells(answer)
  local cells = cells_of(answer.total, answer.by)
  for index = 1, #answer.by do cells[index] = index == 1 and 'total' or '' end
  return cells
end

local function widths_of(lines)
  local widths = {}
  for _, cells in ipairs(lines) do
    for index, text in ipairs(cells) do widths[index] = math.max(widths[index] or 0, #text) end
  end
  return widths
end

-- Names are on the left of their columns, figures on the right.
local function join(cells, widths, names)
  local parts = {}
  for index, text in ipairs(cells) do
    parts[index] = ('%' .. (index <= names and '-' or '') .. widths[index] .. 's'):format(text)
  end
  return table.concat(parts, '  ')
end

--- Returns the lines of the table.
---@param answer table of /usage
---@return string[]
function M.lines(answer)
  local rows = { titles(answer.by) }
  for _, row in ipairs(answer.rows) do rows[#rows + 1] = cells_of(row, answer.by) end
  rows[#rows + 1] = total_cells(answer)
  local widths, lines = widths_of(rows), {}
  for index, cells in ipairs(rows) do lines[index] = join(cells, widths, #answer.by) end
  if answer.cut then lines[#lines + 1] = 'There are more rows; ask for fewer days or columns.' end
  return lines
end

return M
