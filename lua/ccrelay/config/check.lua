-- SPDX-License-Identifier: Apache-2.0
-- Checks a document by the schema. It makes the values, with defaults filled in, and collects every fault and warning.
local document = require 'ccrelay.config.document'
local each = require 'ccrelay.util.each'
local expand = require 'ccrelay.config.expand'
local fault = require 'ccrelay.util.fault'
local file = require 'ccrelay.config.file'
local secret_file = require 'ccrelay.config.secret_file'
local types = require 'ccrelay.config.types'

local M = {}

local SHORTEST_KEY = 8 -- a shorter value is a placeholder, such as "ollama"

---@class ccrelay.Check
---@field file string?
---@field format 'yaml'|'toml'|'table'
---@field env fun(name: string): string?
---@field lack fun(name: string): string why a variable or file has no value
---@field faults ccrelay.Fault[]
---@field warnings ccrelay.Fault[]
---@field lines table<string, integer> line of each path
---@field more integer faults beyond the first thousand
---@field guards boolean? whether files that others may write to are refused
---@field literals string[] paths of secrets that are written as plain text
---@field skip string? the variable or file without a value for which the current list member is skipped
---@field idle boolean? whether the current provider is disabled: then missing values are no faults
local Check = {}
Check.__index = Check

---@param fields table file, format, env
---@return ccrelay.Check
function M.new(fields)
  fields.faults, fields.warnings, fields.lines, fields.literals, fields.more = {}, {}, {}, {}, 0
  return setmetatable(fields, Check)
end

--- Adds a fault. Its line is that of the path by default.
function Check:fault(fields)
  if #self.faults >= fault.MOST then
    self.more = self.more + 1
    return
  end
  fields.file, fields.line = self.file, fields.line or self.lines[fields.path]
  self.faults[#self.faults + 1] = fault.new(fields)
end

--- Returns all faults, sorted: a thousand at most, then the number of the others.
---@return ccrelay.Fault[]
function Check:refusal()
  local list = fault.sorted(self.faults)
  if self.more > 0 then
    list[#list + 1] = fault.new { file = self.file, path = '', message = ('and %d more'):format(self.more) }
  end
  return list
end

function Check:warn(path, message, line)
  local fields = { file = self.file, path = path, line = line or self.lines[path], message = message }
  self.warnings[#self.warnings + 1] = fault.new(fields)
end

--- Returns the path of a member of a mapping.
---@param path string
---@param name string
---@return string
function M.join(path, name)
  if not name:find '^[%w_-]+$' then name = '"' .. fault.printable(name) .. '"' end
  return path == '' and name or path .. '.' .. name
end

local function names(rows)
  local list = {}
  for i, row in ipairs(rows) do list[i] = row[1] end
  return list
end

--- Returns the row of a name.
function M.find(rows, name)
  for _, row in ipairs(rows) do
    if row[1] == name then return row end
  end
end

function Check:unset(variable, row, path)
  if row.unset == 'skip' then
    self.skip = variable
  elseif row.unset == 'absent' or self.idle then
    self:warn(path, self.lack(variable) .. ', so this key is ignored')
  else
    local rest = secret_file.is_reference(variable) and '' or ' (or empty) and has no default'
    self:fault { path = path, message = self.lack(variable) .. rest }
  end
end

-- Tells whether a faulty value may contain a secret: a key where its mapping or digest belongs, a URL with a user or a
-- query.
local function hides(row, text)
  if row.secret or row.type == 'digest' then return true end
  if row.type == 'url' or row.type == 'listen' then return text ~= nil and text:find '[@?]' ~= nil end
  if row.item then return hides(row.item, text) end
  for _, field in ipairs(row.fields or {}) do
    if hides(field) then return true end
  end
  return false
end

local function describe(node, row)
  return document.describe(node, hides(row, node.text))
end

local function found(node, text, row)
  if text == '' and node.text ~= '' then return 'an empty value from ' .. fault.printable(node.text) end
  if text ~= node.text and row.secret then return 'the value of a variable (not shown)' end
  return describe(node, row)
end

function Check:scalar(node, row, path)
  local text, unset, malformed = node.text, nil, nil
  if node.type == 'string' then text, unset, malformed = expand.expand(node.text, self.env) end
  if malformed then return self:fault { path = path, found = malformed, expected = expand.FORMS } end
  if unset then return self:unset(unset, row, path) end
  if types.beside(text, node, row) then return text end
  local value, expected, hint = types.readers[row.type](text, node, row, text ~= node.text)
  if value == nil then
    self:fault { path = path, found = found(node, text, row), expected = expected, hint = hint }
  end
  if row.guarded and value and self.guards then self:guard(value, path) end
  if row.secret and text == node.text and #text >= SHORTEST_KEY and self.lines[path] then
    table.insert(self.literals, path)
  end
  return value
end

-- A file that decides whom to trust must be as protected as a configuration.
function Check:guard(name, path)
  local reason = file.refused(name)
  if reason then self:fault { path = path, message = ('"%s" is %s'):format(fault.printable(name), reason) } end
end

--- Makes a deep copy of plain data.
function M.copy(value)
  if type(value) ~= 'table' then return value end
  local result = {}
  for k, v in each(value) do result[k] = M.copy(v) end
  return result
end

function Check:default(row, path)
  if row.required then return self:fault { path = path, message = 'this key is required' } end
  if row.type == 'section' and not row.optional then return self:section(document.map(), row.fields, path) end
  if type(row.default) == 'string' then return (expand.expand(row.default, self.env)) end
  return M.copy(row.default)
end

function Check:unknown(name, line, rows, path)
  local hint = #self.faults < fault.MOST and fault.nearest(name, names(rows)) or nil
  self:fault { path = M.join(path, name), line = line, message = 'there is no such key', hint = hint }
end

--- Checks a mapping against rows. Absent keys get their default.
---@param node ccrelay.Node
---@param rows table[]
---@param path string
---@return table values
function Check:section(node, rows, path)
  local values = {}
  for _, name in ipairs(node.names) do
    local row = M.find(rows, name)
    if row then
      local at = M.join(path, name)
      self.lines[at] = node.lines[name]
      values[name] = self:value(node.values[name], row, at)
    else
      self:unknown(name, node.lines[name], rows, path)
    end
  end
  for _, row in ipairs(rows) do
    local name, at = row[1], M.join(path, row[1])
    if not node.values[name] then
      self.lines[at] = self.lines[at] or node.line
      values[name] = self:default(row, at)
    end
  end
  return values
end

function Check:members(node, row, path)
  local values = {}
  for i, item in ipairs(node.items) do
    local at = ('%s[%d]'):format(path, i - 1)
    self.lines[at], self.skip = item.line, nil
    local value = self:value(item, row.item, at)
    if self.skip then
      self:warn(at, 'skipped because ' .. self.lack(self.skip))
      values.skipped = values.skipped or {}
      table.insert(values.skipped, item)
    elseif value ~= nil then
      if row.numbered then value.id = i end
      values[#values + 1] = value
    end
    self.skip = nil
  end
  return values
end

function Check:list(node, row, path)
  if node.kind == 'scalar' and row.single and node.type ~= 'null' then
    local value = self:value(node, row.item, path)
    return { value }
  end
  if node.kind ~= 'list' and not (node.kind == 'map' and self.format == 'table' and #node.names == 0) then
    local expected = row.single and types.expected(row.item) .. ', or a list of them' or 'a list'
    return self:fault { path = path, found = describe(node, row), expected = expected }
  end
  local items = node.items or {}
  if row.filled and #items == 0 then
    return self:fault { path = path, found = 'an empty list', expected = 'at least one member' }
  end
  if row.most and #items > row.most then
    return self:fault { path = path, found = #items .. ' members', expected = ('at most %d'):format(row.most) }
  end
  return self:members({ items = items }, row, path)
end

-- A name that is almost a usual one is most likely a typing error.
local function is_slip(name, row)
  for _, usual in ipairs(row.usual or {}) do
    if name == usual then return nil end
  end
  return fault.nearest(name, row.usual or {})
end

function Check:map(node, row, path)
  if #node.names > row.most then
    return self:fault { path = path, found = #node.names .. ' members', expected = ('at most %d'):format(row.most) }
  end
  local values = {}
  for _, name in ipairs(node.names) do
    local at = M.join(path, name)
    self.lines[at] = node.lines[name]
    if name == '' or name:find '[%z\1-\31\127]' then
      self:fault { path = at, message = 'this name is empty or contains control characters' }
    end
    local meant = is_slip(name, row)
    if meant then self:warn(at, ('is not a known name; did you mean "%s"?'):format(meant)) end
    values[name] = self:value(node.values[name], row.item, at)
  end
  return values
end

function Check:unused(row, path)
  self:warn(path, 'accepted for compatibility, not used' .. (row.instead and '; ' .. row.instead or ''))
end

--- Checks a value against its row. Returns nil if it is faulty, skipped or absent.
---@param node ccrelay.Node
---@param row table
---@param path string
---@return any
function Check:value(node, row, path)
  if row.type == 'any' then return self:unused(row, path) end
  if row.type == 'list' then return self:list(node, row, path) end
  local mapping = row.type == 'section' or row.type == 'map' or row.type == 'provider'
  if mapping and node.kind == 'scalar' and node.type == 'null' and not row.strict then
    node = document.map(node.line)
  end
  if node.kind ~= (mapping and 'map' or 'scalar') then
    return self:fault { path = path, found = describe(node, row), expected = types.expected(row) }
  end
  if row.type == 'section' then return self:section(node, row.fields, path) end
  if row.type == 'map' then return self:map(node, row, path) end
  if row.type == 'provider' then return self:provider(node, row, path) end
  return self:scalar(node, row, path)
end

--- The class, to which ccrelay.config.providers adds the check of one provider.
M.Check = Check

return M
