-- SPDX-License-Identifier: Apache-2.0
-- Expands ${NAME}, ${NAME:-default}, ${file:/PATH} and ${credential:NAME} in text values. It runs after parsing and
-- only once on each text, so the value of a variable or file can neither add structure nor name further variables.
local secret_file = require 'ccrelay.config.secret_file'

local M = {}

M.FORMS = '${NAME}, ${NAME:-default}, ${file:/PATH} or ${credential:NAME}'

-- Splits the text between the braces into the name and its default.
local function parse(inside)
  if secret_file.is_reference(inside) then return inside end
  local name, default = inside:match '^([%a_][%w_]*):%-(.*)$'
  return name or inside:match '^[%a_][%w_]*$', default
end

--- Expands a text. An empty variable counts as unset.
---@param text string
---@param env fun(name: string): string? returns the value of a variable, or of a file by its reference
---@return string? expanded, string? unset name of the first variable without value and default, string? malformed
function M.expand(text, env)
  if not text:find('${', 1, true) then return text end
  local out, at = {}, 1
  while true do
    local open = text:find('${', at, true)
    if not open then break end
    out[#out + 1] = text:sub(at, open - 1)
    local inside, close = text:match('^([^{}]*)}()', open + 2)
    local name, default = parse(inside or '')
    if not name then return nil, nil, 'a "${" that is not ' .. M.FORMS end
    local value = env(name)
    if value == nil or value == '' then value = default end
    if not value then return nil, name end
    out[#out + 1], at = value, close
  end
  out[#out + 1] = text:sub(at)
  return table.concat(out)
end

return M
