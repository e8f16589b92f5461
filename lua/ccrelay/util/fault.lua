-- SPDX-License-Identifier: Apache-2.0
-- Faults of a configuration: makes, sorts and prints them, and finds the known name nearest to a mistyped one.
local json = require 'ccrelay.util.json'

local M = {}

---@class ccrelay.Fault
---@field file string? the file, or a name for a source that is no file
---@field line integer? if the parser gives it
---@field path string the place in the configuration, such as "providers[2].keys[0].rpm_limit"; "" for the whole
---@field found string? the value that is there
---@field expected string? the value that should be there
---@field hint string? the nearest known name
---@field message string? a sentence, if found and expected do not say it

local LONGEST_NAME = 64
M.MOST = 1000

--- Makes text from a file fit for a message: escapes control characters and cuts it at 64 bytes.
---@param text string
---@return string
function M.printable(text)
  local short = #text > LONGEST_NAME and text:sub(1, LONGEST_NAME):gsub('[\128-\255]*$', '') .. '...' or text
  return json.visible((json.clean(short):gsub('[%c]', function(c) return ('\\x%02x'):format(c:byte()) end)))
end

local function sentence(fault)
  local parts = {}
  if fault.message then parts[1] = fault.message end
  if fault.found then parts[#parts + 1] = 'found ' .. fault.found end
  if fault.expected then parts[#parts + 1] = 'expected ' .. fault.expected end
  local text = table.concat(parts, ', ')
  return fault.hint and ('%s; did you mean "%s"?'):format(text, fault.hint) or text
end

--- Returns a fault as one line: "config.yaml:12: providers[0].keys[0].rpm_limit: found ..., expected ...".
---@param fault ccrelay.Fault
---@return string
function M.text(fault)
  local place = fault.file or 'configuration'
  if fault.line then place = ('%s:%d'):format(place, fault.line) end
  if fault.path and fault.path ~= '' then place = place .. ': ' .. fault.path end
  return place .. ': ' .. sentence(fault)
end

local metatable = { __tostring = M.text }

--- Makes a fault, which tostring() prints as one line.
---@param fields ccrelay.Fault
---@return ccrelay.Fault
function M.new(fields)
  return setmetatable(fields, metatable)
end

--- Sorts faults in place by line; those of one line keep their order.
---@param faults ccrelay.Fault[]
---@return ccrelay.Fault[]
function M.sorted(faults)
  local order = {}
  for i, fault in ipairs(faults) do order[fault] = i end
  table.sort(faults, function(a, b)
    local x, y = a.line or 0, b.line or 0
    if x ~= y then return x < y end
    return order[a] < order[b]
  end)
  return faults
end

-- The edit distance, in which swapping two neighbours costs 1 (optimal string alignment).
local function distance(a, b)
  local before, row = {}, {}
  for j = 0, #b do row[j] = j end
  local older
  for i = 1, #a do
    older, before, row = before, row, { [0] = i }
    for j = 1, #b do
      local x, y = a:byte(i), b:byte(j)
      row[j] = math.min(before[j] + 1, row[j - 1] + 1, before[j - 1] + (x == y and 0 or 1))
      if i > 1 and j > 1 and x == b:byte(j - 1) and a:byte(i - 1) == y then
        row[j] = math.min(row[j], older[j - 2] + 1)
      end
    end
  end
  return row[#b]
end

--- Returns the known name nearest to a mistyped one, or nil if none is near.
---@param name string
---@param known string[]
---@return string?
function M.nearest(name, known)
  if #name > LONGEST_NAME then return nil end
  local plain = name:lower():gsub('[-_ ]', '')
  local best, least = nil, math.min(#name, math.max(1, math.floor(#name / 3)) + 1)
  for _, candidate in ipairs(known) do
    local d = distance(name:lower(), candidate:lower())
    if plain == candidate:lower():gsub('[-_ ]', '') then d = 0 end
    if #candidate > 2 and name:lower():sub(1, #candidate) == candidate then d = math.min(d, 1) end
    if d < least then best, least = candidate, d end
  end
  return best
end

--- Lists texts as "a, b or c".
---@param list string[]
---@return string
function M.either(list)
  if #list < 2 then return list[1] or 'nothing' end
  return table.concat(list, ', ', 1, #list - 1) .. ' or ' .. list[#list]
end

return M
