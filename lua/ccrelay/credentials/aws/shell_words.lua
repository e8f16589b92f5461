-- SPDX-License-Identifier: Apache-2.0
-- Splits a line into words by the quoting rules of a POSIX shell. Nothing is expanded.
local M = {}

local ESCAPED = { ['"'] = true, ['\\'] = true }

local readers = {}

readers["'"] = function(text, index)
  local last = string.find(text, "'", index, true)
  if not last then return nil, "a ' is not closed" end
  return string.sub(text, index, last - 1), last + 1
end

readers['"'] = function(text, index)
  local out = {}
  while index <= #text do
    local character = string.sub(text, index, index)
    if character == '"' then return table.concat(out), index + 1 end
    local following = string.sub(text, index + 1, index + 1)
    if character == '\\' and ESCAPED[following] then character, index = following, index + 1 end
    out[#out + 1], index = character, index + 1
  end
  return nil, 'a " is not closed'
end

readers['\\'] = function(text, index)
  if index > #text then return nil, 'nothing follows the last \\' end
  return string.sub(text, index, index), index + 1
end

--- Splits a text at blanks outside quotes, and removes quotes and backslashes.
---@param text string
---@return string[]? words
---@return string? message
function M.split(text)
  local words, word, index = {}, nil, 1
  while index <= #text do
    local character = string.sub(text, index, index)
    if string.find(character, '%s') then
      words[#words + 1], word, index = word, nil, index + 1
    elseif readers[character] then
      local piece, after = readers[character](text, index + 1)
      if not piece then return nil, after end
      word, index = (word or '') .. piece, after
    else
      word, index = (word or '') .. character, index + 1
    end
  end
  words[#words + 1] = word
  return words
end

return M
