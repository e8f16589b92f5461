-- SPDX-License-Identifier: Apache-2.0
-- What scripts hold in place of the library's objects: a userdata that shows some names of one, and
-- nothing of what is behind them. The object is its environment, which only this file asks for.

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
  meta.__index = function(face, member) return read(debug.getfenv(face), member) end
  meta.__newindex = function(face, member, value) return write(debug.getfenv(face), member, value) end
  meta.__metatable = false
  meta.__tostring = function() return name end
  kinds[name] = { template = template, meta = meta }
  kind_of_class[class] = kinds[name]
end

--- Another face of an object.
---@param object table
---@return userdata
function M.new(object)
  local face = newproxy(kind_of_class[debug.getmetatable(object)].template)
  debug.setfenv(face, object)
  return face
end

--- The face of an object, always the same one; nil for nil.
---@param object table?
---@return userdata?
function M.of(object)
  if not object then return nil end
  local face = rawget(object, 'face')
  if not face then
    face = M.new(object)
    rawset(object, 'face', face)
  end
  return face
end

--- The object behind a value that is a face of this kind.
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
