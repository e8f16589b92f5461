-- SPDX-License-Identifier: Apache-2.0
-- Writes the classes that annotations.lua has read as Markdown tables, for ccrelay types --reference.
local M = {}

local OPENING = { ['('] = 1, ['<'] = 1, ['{'] = 1, [')'] = -1, ['>'] = -1, ['}'] = -1 }

-- A type ends at the first blank that is not inside brackets and does not follow a colon.
local function split_type(text)
  local depth = 0
  for at = 1, #text do
    local letter = text:sub(at, at)
    depth = depth + (OPENING[letter] or 0)
    if letter == ' ' and depth == 0 and text:sub(at - 1, at - 1) ~= ':' then
      return text:sub(1, at - 1), text:sub(at + 1)
    end
  end
  return text, ''
end

local function code(text)
  return '`' .. text:gsub('ccrelay%.(%u)', '%1'):gsub('|', '\\|') .. '`'
end

local function cell(text)
  return (text:gsub('|', '\\|'))
end

local function field_row(line)
  local name, rest = line:match '^%-%-%-@field ([%w_]+) (.+)$'
  local kind, what = split_type(rest)
  return ('| %s | %s |'):format(code(name .. ': ' .. kind), cell(what))
end

-- Splits a comment into the types of parameters by name, the types returned, and the sentences.
local function parse(lines)
  local types, returned, sentences = {}, {}, {}
  for _, line in ipairs(lines) do
    local name, rest = line:match '^%-%-%-@param ([%w_.]+) (.+)$'
    local result = line:match '^%-%-%-@return (.+)$'
    if name then
      types[name] = split_type(rest)
    elseif result then
      returned[#returned + 1] = (split_type(result))
    else
      sentences[#sentences + 1] = line:match '^%-%-%- ?(.*)$'
    end
  end
  return types, returned, sentences
end

local function function_row(class, entry)
  local types, returned, sentences = parse(entry.lines)
  local parameters = {}
  for index, name in ipairs(entry.parameters) do
    parameters[index] = types[name] and name .. ': ' .. types[name] or name
  end
  local owner = class.name:match('[^.]+$'):gsub('^Test%f[%u]', ''):lower()
  local signature = ('%s%s%s(%s)'):format(owner, entry.separator, entry.name, table.concat(parameters, ', '))
  if returned[1] then signature = signature .. ': ' .. table.concat(returned, ', ') end
  return ('| %s | %s |'):format(code(signature), cell(table.concat(sentences, ' ')))
end

--- Returns a heading and a table of the public names of a class, as Markdown.
---@param class ccrelay.Annotated
---@return string
function M.class(class)
  local out = { '#### ' .. class.name:match '[^.]+$', '', '| | |', '|---|---|' }
  for index = 2, #class.heads do out[#out + 1] = field_row(class.heads[index]) end
  for _, entry in ipairs(class.functions) do out[#out + 1] = function_row(class, entry) end
  return table.concat(out, '\n') .. '\n'
end

--- Returns a line for an alias, as Markdown.
---@param line string as annotated
---@return string
function M.alias(line)
  local name, rest = line:match '^%-%-%-@alias ([%w_.]+) (.+)$'
  return ('The type %s is %s.\n'):format(code(name), code(rest))
end

return M
