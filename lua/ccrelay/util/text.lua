-- SPDX-License-Identifier: Apache-2.0
-- Small functions for text from outside.
local M = {}

local BLANK = { [32] = true }
for byte = 9, 13 do BLANK[byte] = true end

--- Removes the blanks around a text. (A pattern such as "%s+$" would need quadratic time for a text full of blanks.)
---@param text string
---@return string
function M.trim(text)
  local first, last = string.find(text, '%S'), #text
  if not first then return '' end
  while BLANK[string.byte(text, last)] do last = last - 1 end
  return string.sub(text, first, last)
end

--- Percent-encodes a text for a segment or a query of a URL (RFC 3986, section 2.1).
---@param text string
---@return string
function M.escape(text)
  return (string.gsub(text, '[^%w_.~-]', function(byte) return string.format('%%%02X', string.byte(byte)) end))
end

--- Decodes the percent-encoded bytes of a text (RFC 3986, section 2.1). A % without two hex digits stays.
---@param text string
---@return string
function M.unescape(text)
  return (string.gsub(text, '%%(%x%x)', function(hex) return string.char(tonumber(hex, 16)) end))
end

local function form_decoded(part) return M.unescape((string.gsub(part, '%+', ' '))) end

--- Returns the parameters of a query or form (WHATWG URL, section 5.1) by name. The last of a name counts; one without
--- "=" has the value "".
---@param query string without "?"
---@return table<string, string>
function M.parameters(query)
  local parameters = {}
  for part in string.gmatch(query, '[^&]+') do
    local name, value = string.match(part, '^([^=]*)=?(.*)$')
    parameters[form_decoded(name)] = form_decoded(value)
  end
  return parameters
end

--- Returns a number with its noun: "1 worker", "2 workers".
---@param number integer
---@param thing string the noun in the singular
---@return string
function M.count(number, thing)
  return string.format('%d %s%s', number, thing, number == 1 and '' or 's')
end

return M
