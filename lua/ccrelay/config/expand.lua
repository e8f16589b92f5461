-- SPDX-License-Identifier: Apache-2.0
-- ${NAME} and ${NAME:-default} in text values. Runs after parsing and only once over a text, so what
-- a variable holds can neither add structure nor name further variables.
local M = {}

--- Expands text. An empty variable counts as unset.
---@param text string
---@param env fun(name: string): string?
---@return string? expanded, string? unset name of the first variable without value and default, string? malformed
function M.expand(text, env)
  if not text:find('${', 1, true) then return text end
  local out, at = {}, 1
  while true do
    local open = text:find('${', at, true)
    if not open then break end
    out[#out + 1] = text:sub(at, open - 1)
    local inside, close = text:match('^([^{}]*)}()', open + 2)
    local name, default = (inside or ''):match '^([%a_][%w_]*):%-(.*)$'
    name = name or (inside or ''):match '^[%a_][%w_]*$'
    if not name then return nil, nil, 'a "${" that is not ${NAME} or ${NAME:-default}' end
    local value = env(name)
    if value == nil or value == '' then value = default end
    if not value then return nil, name end
    out[#out + 1], at = value, close
  end
  out[#out + 1] = text:sub(at)
  return table.concat(out)
end

return M
