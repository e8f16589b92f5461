-- SPDX-License-Identifier: Apache-2.0
-- Finds values by the name of a model: by the exact name, else by the longest prefix that is written with a * at its
-- end. Also matches names against globs with * anywhere.
local each = require 'ccrelay.util.each'

local M = {}

--- Splits a table of values by name into those with an exact name and those with a prefix.
---@param names table<string, any>
---@return table<string, any> exact
---@return { prefix: string, value: any }[] prefixes the longest first
function M.split(names)
  local exact, prefixes = {}, {}
  for name, value in each(names) do
    local prefix = string.match(name, '^(.*)%*$')
    if prefix then
      prefixes[#prefixes + 1] = { prefix = prefix, value = value }
    else
      exact[name] = value
    end
  end
  table.sort(prefixes, function(a, b) return #a.prefix > #b.prefix end)
  return exact, prefixes
end

--- Returns the value for a name, or nil.
---@param exact table<string, any>
---@param prefixes { prefix: string, value: any }[]
---@param name string
---@return any
function M.find(exact, prefixes, name)
  local value = exact[name]
  if value then return value end
  for _, entry in ipairs(prefixes) do
    if string.sub(name, 1, #entry.prefix) == entry.prefix then return entry.value end
  end
  return nil
end

--- Turns globs, in which * stands for any text, into Lua patterns.
---@param globs string[]
---@return string[]
function M.of_globs(globs)
  local list = {}
  for index, glob in ipairs(globs) do
    list[index] = '^' .. string.gsub(string.gsub(glob, '[%^%$%(%)%%%.%[%]%+%-%?]', '%%%0'), '%*', '.*') .. '$'
  end
  return list
end

--- Tells whether one of these Lua patterns matches a name.
---@param list string[] as from of_globs
---@param name string
---@return boolean
function M.matches(list, name)
  for _, pattern in ipairs(list) do
    if string.find(name, pattern) then return true end
  end
  return false
end

return M
