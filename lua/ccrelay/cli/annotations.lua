-- SPDX-License-Identifier: Apache-2.0
-- Parses the LuaLS annotations in the files of the library, for ccrelay types. Names marked ---@package are left out.
local M = {}

---@class ccrelay.Annotated a class as its file annotates it
---@field name string
---@field heads string[] the lines ---@class and ---@field
---@field fields string[] the names of the fields
---@field functions ccrelay.AnnotatedFunction[]

---@class ccrelay.AnnotatedFunction
---@field name string
---@field separator '.'|':'
---@field parameters string[]
---@field lines string[] the lines of comment above it

local function split(list)
  local names = {}
  for name in list:gmatch '[%w_.]+' do names[#names + 1] = name end
  return names
end

local function begin_class(file, name, line)
  file.class = { name = name, heads = { line }, fields = {} }
  file.classes[name] = file.class
end

-- Reads a line that begins with three dashes: it belongs to a class, an alias, or the function that follows.
local function annotate(file, line)
  local kind, rest = line:match '^%-%-%-@(%l+) ?(.*)$'
  if kind == 'class' then
    begin_class(file, rest:match '^[%w_.]+', line)
  elseif kind == 'field' then
    local name = rest:match '^[%w_]+'
    if name == 'package' then return end
    table.insert(file.class.heads, line)
    table.insert(file.class.fields, name)
  elseif kind == 'alias' then
    file.aliases[rest:match '^[%w_.]+'] = line
  elseif kind == 'package' then
    file.hidden = true
  else
    table.insert(file.lines, line)
  end
end

local function add_function(file, variable, entry)
  if file.hidden or entry.name:find '^_' then return end
  file.functions[variable] = file.functions[variable] or {}
  table.insert(file.functions[variable], entry)
end

-- Reads a line of code, to which the comment above belongs.
local function attach(file, line)
  local variable, separator, name, list = line:match '^function ([%w_]+)([.:])([%w_]+)%((.*)%)'
  local required, module = line:match "^local ([%w_]+) = require '(ccrelay[%w_.]*)'"
  local target, copy, owner, original = line:match '^([%w_]+)%.([%w_]+) = ([%w_]+)%.([%w_]+)$'
  if name then
    add_function(file, variable, { name = name, separator = separator, parameters = split(list), lines = file.lines })
  elseif required then
    file.modules[required] = module
  elseif copy then
    add_function(file, target, { name = copy, copy_of = original, owner = owner })
  elseif file.class then
    file.class.variable = line:match '^local ([%w_]+)'
  end
  file.class, file.lines, file.hidden = nil, {}, false
end

local function read(text)
  local file = { classes = {}, aliases = {}, functions = {}, modules = {}, lines = {}, hidden = false }
  for line in (text .. '\n'):gmatch '([^\n]*)\n' do
    if line:find '^%-%-%-' then annotate(file, line) else attach(file, line) end
  end
  return file
end

local Reader = {}
Reader.__index = Reader

--- Makes a reader of the library's files.
---@param open fun(module: string): string returns the text of a module
---@return table
function M.reader(open)
  return setmetatable({ open = open, files = {} }, Reader)
end

function Reader:file(module)
  self.files[module] = self.files[module] or read(self.open(module))
  return self.files[module]
end

local function find(list, name)
  for _, entry in ipairs(list or {}) do
    if entry.name == name then return entry end
  end
end

-- A function of another module that is a method here; its first parameter becomes self.
local function borrow(self, file, entry)
  local module = file.modules[entry.owner]
  local original = module and find(self:file(module).functions.M, entry.copy_of)
  if not original then return nil end
  local lines, first = {}, original.parameters[1]
  for _, line in ipairs(original.lines) do
    if line:match '^%-%-%-@param ([%w_]+)' ~= first then lines[#lines + 1] = line end
  end
  return { name = entry.name, separator = ':', parameters = { unpack(original.parameters, 2) }, lines = lines }
end

--- Returns a class of a module with its public fields and functions. Raises an error if there is none of this name.
---@param module string
---@param name string
---@return ccrelay.Annotated
function Reader:class(module, name)
  local file = self:file(module)
  local class = file.classes[name] or error(name .. ' is not in ' .. module)
  local functions = {}
  for _, entry in ipairs(class.variable and file.functions[class.variable] or {}) do
    functions[#functions + 1] = entry.lines and entry or borrow(self, file, entry)
  end
  return { name = name, heads = class.heads, fields = class.fields, functions = functions }
end

--- Returns the line of an alias. Raises an error if there is none of this name.
---@param module string
---@param name string
---@return string
function Reader:alias(module, name)
  local line = self:file(module).aliases[name]
  return line or error(name .. ' is not in ' .. module)
end

return M
