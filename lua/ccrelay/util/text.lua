-- SPDX-License-Identifier: Apache-2.0
-- What several modules do with texts of others.
local M = {}

local BLANK = { [32] = true }
for byte = 9, 13 do BLANK[byte] = true end

--- The text without blanks around it. (A pattern that may begin anywhere and ends in "+$" would look at
--- each run of blanks again and again.)
---@param text string
---@return string
function M.trim(text)
  local first, last = string.find(text, '%S'), #text
  if not first then return '' end
  while BLANK[string.byte(text, last)] do last = last - 1 end
  return string.sub(text, first, last)
end

--- The text with its percent-encoded bytes decoded (RFC 3986, 2.1); what is no such byte stays.
---@param text string
---@return string
function M.unescape(text)
  return (string.gsub(text, '%%(%x%x)', function(hex) return string.char(tonumber(hex, 16)) end))
end

--- A number of things in words: "1 worker", "2 workers".
---@param number integer
---@param thing string in the singular
---@return string
function M.count(number, thing)
  return string.format('%d %s%s', number, thing, number == 1 and '' or 's')
end

return M
