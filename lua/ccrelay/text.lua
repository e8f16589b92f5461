-- SPDX-License-Identifier: Apache-2.0
-- What patterns do too slowly for texts of others: one that may begin anywhere and ends in "+$" looks
-- at each run of blanks again and again.
local M = {}

local BLANK = { [32] = true }
for byte = 9, 13 do BLANK[byte] = true end

--- The text without blanks around it.
---@param text string
---@return string
function M.trim(text)
  local first, last = string.find(text, '%S'), #text
  if not first then return '' end
  while BLANK[string.byte(text, last)] do last = last - 1 end
  return string.sub(text, first, last)
end

return M
