-- SPDX-License-Identifier: Apache-2.0
-- Iterates over a table like pairs, and guarantees to visit every entry. The LuaJIT of Debian 12 may end a compiled
-- loop over pairs or next before the last entry (https://github.com/LuaJIT/LuaJIT/issues/827; newer versions have
-- https://github.com/LuaJIT/LuaJIT/issues/1510). A loop over another iterator is not affected. Scripts are never
-- compiled and may use pairs. spec/util/each_spec.lua shows the fault.

local function step(entries, name)
  return next(entries, name)
end

--- Iterates over the entries of a table in any order: for name, value in each(entries) do ... end. The loop may change
--- entries or set them to nil, but must not add any.
---@generic Name, Value
---@param entries table<Name, Value>
---@return fun(entries: table<Name, Value>, name: Name?): Name?, Value? step
---@return table<Name, Value> entries
---@return nil
local function each(entries)
  return step, entries, nil
end

return each
