-- SPDX-License-Identifier: Apache-2.0
-- Estimates the worst-case time of a Lua pattern. A repeated part may try every position of the text again for each try
-- of the repeated part before it, unless the next part fixes where it has to end: as in "%s*:", whose parts have no
-- byte in common.
local bit = require 'bit'

local M = {}

local MOST_REMEMBERED = 256
local REPEATS = { ['*'] = true, ['+'] = true, ['-'] = true }
local OPTIONAL = { ['*'] = true, ['-'] = true, ['?'] = true }

local bytes = {}
for byte = 0, 255 do bytes[byte + 1] = string.char(byte) end
local ALL = table.concat(bytes)

-- Returns the bytes that a part of one class matches, as a bit set.
local function bits_of(part)
  if part.bits then return part.bits end
  local bits = { 0, 0, 0, 0, 0, 0, 0, 0 }
  for character in string.gmatch(ALL, part.class) do
    local byte = string.byte(character)
    local place = bit.rshift(byte, 5) + 1
    bits[place] = bit.bor(bits[place], bit.lshift(1, bit.band(byte, 31)))
  end
  part.bits = bits
  return bits
end

local function have_common(one, other)
  local a, b = bits_of(one), bits_of(other)
  for index = 1, 8 do
    if bit.band(a[index], b[index]) ~= 0 then return true end
  end
  return false
end

local function set_end(pattern, index)
  local place = index + (string.sub(pattern, index + 1, index + 1) == '^' and 2 or 1)
  repeat
    if place > #pattern then error('malformed pattern (missing "]")', 0) end
    place = place + (string.sub(pattern, place, place) == '%' and 2 or 1)
  until string.sub(pattern, place, place) == ']'
  return place
end

-- Returns the last byte of the item at index, whether it matches one byte of a class, and whether it may be slow.
local function item_at(pattern, index)
  local first, second = string.sub(pattern, index, index), string.sub(pattern, index + 1, index + 1)
  if first == '[' then return set_end(pattern, index), true, false end
  if first ~= '%' then return index, first ~= '(' and first ~= ')', false end
  if second == '' then error('malformed pattern (ends with "%")', 0) end
  if second == 'b' then return index + 3, false, true end
  if second == 'f' then return set_end(pattern, index + 2), false, false end
  return index + 1, not string.find(second, '%d'), string.find(second, '%d') ~= nil
end

-- Splits a pattern into parts: { class =, mark = } for a class that may be repeated, { slow = true } for back
-- references and balanced texts.
local function parts_of(pattern)
  local list, index = {}, string.byte(pattern) == 94 and 2 or 1
  while index <= #pattern do
    local last, is_class, slow = item_at(pattern, index)
    if is_class and not (last == #pattern and string.sub(pattern, index) == '$') then
      local mark = string.match(pattern, '^[%*%+%-%?]', last + 1) or ''
      list[#list + 1] = { class = string.sub(pattern, index, last), mark = mark }
      last = last + #mark
    elseif slow then
      list[#list + 1] = { slow = true }
    end
    index = last + 1
  end
  return list
end

-- Whether a repeated part can end at one position only.
local function has_fixed_end(list, index, last)
  for place = index + 1, last do
    local part = list[place]
    if part.slow or have_common(list[index], part) then return false end
    if part.mark == '' or part.mark == '+' then return true end
  end
  return true
end

-- Returns the exponents of the size of the text and of 2 for the parts from first to last. If nothing has to follow
-- them, the last parts never fail.
local function weigh(list, first, last, has_to_end)
  local many, twice, long = 0, 0, 0
  while not has_to_end and last > first and OPTIONAL[list[last].mark] do last, long = last - 1, 1 end
  for index = first, last do
    local part, is_end = list[index], index == last and not has_to_end
    local is_free = not part.slow and (is_end or has_fixed_end(list, index, last))
    if is_free then
      if REPEATS[part.mark] and not is_end then long = 1 end
    elseif part.slow or REPEATS[part.mark] then
      many = many + 1
    elseif part.mark == '?' then
      twice = twice + 1
    end
  end
  return many + long, twice
end

-- Returns the index of a part that matches the rest of the text: a repeated ".", after which nothing has to follow.
local function place_of_rest(list)
  for index = #list, 1, -1 do
    local part = list[index]
    if part.class == '.' and REPEATS[part.mark] then return index end
    if not OPTIONAL[part.mark] then return nil end
  end
  return nil
end

local function weight_of(pattern)
  local list = parts_of(pattern)
  local starts = string.byte(pattern) == 94 and 0 or 1
  local has_to_end, rest = string.sub(pattern, -1) == '$', place_of_rest(list)
  if not rest then
    local many, twice = weigh(list, 1, #list, has_to_end)
    return { many = many + starts, twice = twice }
  end
  local before, before_twice = weigh(list, 1, rest - 1, false)
  local behind, behind_twice = weigh(list, rest, #list, has_to_end)
  return { many = math.max(before + starts, behind), twice = math.max(before_twice, behind_twice) }
end

local known, count = {}, 0

--- Returns about how many bytes are examined, in the worst case, when a pattern is matched on a text of this size.
---@param pattern string
---@param size integer
---@return number
function M.of(pattern, size)
  local weight = known[pattern]
  if not weight then
    weight = weight_of(pattern)
    if count == MOST_REMEMBERED then known, count = {}, 0 end
    known[pattern], count = weight, count + 1
  end
  local steps = 2 ^ weight.twice
  for index = 1, weight.many do steps = steps * (size + index) / index end
  return steps
end

return M
