-- SPDX-License-Identifier: Apache-2.0
-- Forms and queries (application/x-www-form-urlencoded) of requests of the relay's own.
local M = {}

M.TYPE = 'application/x-www-form-urlencoded'

local function escaped(character)
  return string.format('%%%02X', string.byte(character))
end

--- Text as a value of a form or query.
---@param text string
---@return string
function M.escape(text)
  return (string.gsub(text, '[^%w._~-]', escaped))
end

--- A form of names and values, in their order; entries whose value is nil or false are left out.
---@param entries table[] pairs of a name and a value
---@return string
function M.encode(entries)
  local out = {}
  for _, entry in ipairs(entries) do
    if entry[2] then out[#out + 1] = M.escape(entry[1]) .. '=' .. M.escape(entry[2]) end
  end
  return table.concat(out, '&')
end

return M
