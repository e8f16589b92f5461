-- SPDX-License-Identifier: Apache-2.0
-- Makes handles: the userdata that scripts get for objects of the library (capabilities). A handle shows the documented
-- members only. The object is the environment of the userdata, which only this file reads.

local M = {}

local kinds, kind_of_class = {}, {}

local function refuse_write(_, name)
  error('"' .. tostring(name) .. '" is read-only', 2)
end

--- Says what scripts see of a class.
---@param name string of the kind
---@param class table metatable of its objects
---@param read fun(object: table, name: any): any
---@param write (fun(object: table, name: any, value: any))?
function M.define(name, class, read, write)
  local template = newproxy(true)
  local meta = debug.getmetatable(template)
  write = write or refuse_write
  meta.__index = function(self, member) return read(debug.getfenv(self), member) end
  meta.__newindex = function(self, member, value) return write(debug.getfenv(self), member, value) end
  meta.__metatable = false
  meta.__tostring = function() return name end
  kinds[name] = { template = template, meta = meta }
  kind_of_class[class] = kinds[name]
end

--- Makes a new handle of an object.
---@param object table
---@return userdata
function M.new(object)
  local handle = newproxy(kind_of_class[debug.getmetatable(object)].template)
  debug.setfenv(handle, object)
  return handle
end

--- The handle of an object, always the same one; nil for nil.
---@param object table?
---@return userdata?
function M.of(object)
  if not object then return nil end
  local handle = rawget(object, 'script_handle')
  if not handle then
    handle = M.new(object)
    rawset(object, 'script_handle', handle)
  end
  return handle
end

--- The object of a value that is a handle of this kind.
---@param value any
---@param name string of the kind
---@return table?
function M.object(value, name)
  if type(value) ~= 'userdata' or debug.getmetatable(value) ~= kinds[name].meta then return nil end
  return debug.getfenv(value)
end

--- A table's own member, whatever its metatable says.
---@param value any
---@param name any
---@return any nil for what is no table
function M.member(value, name)
  if type(value) == 'table' then return rawget(value, name) end
  return nil
end

return M
