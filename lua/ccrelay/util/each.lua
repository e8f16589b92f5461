-- SPDX-License-Identifier: Apache-2.0
-- Walks a table in any order, in place of pairs. LuaJIT of Debian 12 compiles loops over pairs, and over next, so that
-- they may end before the last entry (https://github.com/LuaJIT/LuaJIT/issues/827, a cousin in newer ones is
-- https://github.com/LuaJIT/LuaJIT/issues/1510). What is no pairs and no next is not taken by that part of the
-- compiler. Scripts, which are never compiled, may use pairs. spec/each_spec.lua tells what pairs does here.

local function step(entries, name)
  return next(entries, name)
end

--- For "for name, value in each(entries) do": entries may be changed or set to nil meanwhile, but none may be added.
---@generic Name, Value
---@param entries table<Name, Value>
---@return fun(entries: table<Name, Value>, name: Name?): Name?, Value? step
---@return table<Name, Value> entries
---@return nil
local function each(entries)
  return step, entries, nil
end

return each
