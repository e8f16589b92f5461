-- SPDX-License-Identifier: Apache-2.0
-- Encodes forms and queries (application/x-www-form-urlencoded) for the relay's own requests.
local M = {}

M.TYPE = 'application/x-www-form-urlencoded'

local function escaped(character)
  return string.format('%%%02X', string.byte(character))
end

--- Escapes text for a form or query: all bytes but the unreserved ones (RFC 3986, section 2.3).
---@param text string
---@return string
function M.escape(text)
  return (string.gsub(text, '[^%w._~-]', escaped))
end

--- Encodes a form. Keeps the order, and leaves out entries whose value is nil or false.
---@param entries table[] of { name, value }
---@return string
function M.encode(entries)
  local out = {}
  for _, entry in ipairs(entries) do
    if entry[2] then out[#out + 1] = M.escape(entry[1]) .. '=' .. M.escape(entry[2]) end
  end
  return table.concat(out, '&')
end

return M
