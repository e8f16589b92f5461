-- SPDX-License-Identifier: Apache-2.0
-- Generates the starter file from the schema, in both formats. A line after a bare '#' is a default or an example, and
-- can be uncommented by itself; prose follows '# '.
local each = require 'ccrelay.util.each'
local json = require 'ccrelay.util.json'

local M = {}

local INTRODUCTION = [[
# ccrelay configuration. Lines that begin with # and no space show a default or an example.
# ${NAME} and ${NAME:-default} in strings are replaced with environment variables, ${file:/PATH} with what a file holds.
]]

local function literal(value, equals)
  if type(value) == 'string' then return json.quote(value) end
  if type(value) ~= 'table' then return tostring(value) end
  local parts = {}
  if #value > 0 then
    for i, item in ipairs(value) do parts[i] = literal(item, equals) end
    return '[' .. table.concat(parts, ', ') .. ']'
  end
  for name, item in each(value) do parts[#parts + 1] = json.quote(name) .. equals .. literal(item, equals) end
  table.sort(parts)
  return '{' .. table.concat(parts, ', ') .. '}'
end

local function example(row)
  if row.example ~= nil then return row.example end
  if row.single then return row.default[1] end
  return row.default
end

local function shown(row)
  return row.type ~= 'any' and not row.only and not row.numbered
end

local function begun(rows)
  for _, row in ipairs(rows) do
    if row.start then return true end
  end
  return false
end

local function line(row, value, style, active)
  local text = ('%s%s%s'):format(row[1], style.equals, literal(value, style.equals))
  return ('%s%s  # %s'):format(active and '' or '#', text, row.doc)
end

-- The sections of the file, without those that are only accepted for compatibility.
local function sections(schema)
  local rows = {}
  for _, row in ipairs(schema.fields) do
    if row.type ~= 'any' then rows[#rows + 1] = row end
  end
  return rows
end

local yaml = { equals = ': ' }

local function yaml_rows(rows, indent, active, out)
  for _, row in ipairs(rows) do
    if row.type == 'section' then
      local open = active and begun(row.fields)
      out[#out + 1] = ('%s%s%s:  # %s'):format(indent, open and '' or '#', row[1], row.doc)
      yaml_rows(row.fields, indent .. '  ', open, out)
    elseif shown(row) then
      out[#out + 1] = indent .. line(row, example(row), yaml, active and row.start)
    end
  end
end

local function optional(fields)
  local rows = {}
  for _, row in ipairs(fields) do
    if not row.start and shown(row) then rows[#rows + 1] = row end
  end
  return rows
end

local function limits(fields)
  local rows = {}
  for _, row in ipairs(fields) do
    if row[1] ~= 'key' and row[1] ~= 'priority' then rows[#rows + 1] = row end
  end
  return rows
end

local function key_fields(fields)
  for _, row in ipairs(fields) do
    if row.numbered then return row.item.fields end
  end
end

-- The settings of a provider that was found, with an example of model_mapping after a '#'.
local function settings_of(provider, style, indent, out)
  for _, setting in ipairs(provider.settings) do
    out[#out + 1] = indent .. setting[1] .. style.equals .. literal(setting[2], style.equals)
  end
  if not provider.mapping then return end
  out[#out + 1] = ('%s#model_mapping%s%s  # this provider has model ids of its own'):format(indent, style.equals,
    literal(provider.mapping, style.equals))
end

local function yaml_providers(row, providers, out)
  local fields = row.item.fields
  out[#out + 1] = row[1] .. ':'
  for index, provider in ipairs(providers) do
    out[#out + 1] = ('  - name: %s'):format(provider.name)
    out[#out + 1] = ('    type: %s'):format(provider.type)
    settings_of(provider, yaml, '    ', out)
    if provider.whole then yaml_rows(optional(fields), '    ', false, out) end
    out[#out + 1] = '    keys:'
    out[#out + 1] = ('      - key: "%s"'):format(provider.key)
    out[#out + 1] = ('        priority: %d  # highest is tried first'):format(#providers - index)
    if provider.whole then yaml_rows(limits(key_fields(fields)), '        ', false, out) end
  end
end

local function yaml_section(row, open, out)
  out[#out + 1] = (open and '' or '#') .. row[1] .. ':'
  yaml_rows(row.fields, '  ', open, out)
end

local toml = { equals = ' = ' }

local function toml_rows(rows, path, active, out)
  for _, row in ipairs(rows) do
    if row.type ~= 'section' and shown(row) then
      out[#out + 1] = line(row, example(row), toml, active and row.start)
    end
  end
  for _, row in ipairs(rows) do
    if row.type == 'section' then
      local open = active and begun(row.fields)
      out[#out + 1] = ('%s[%s.%s]  # %s'):format(open and '' or '#', path, row[1], row.doc)
      toml_rows(row.fields, path .. '.' .. row[1], open, out)
    end
  end
end

local function toml_providers(row, providers, out)
  local fields = row.item.fields
  for index, provider in ipairs(providers) do
    out[#out + 1] = '[[providers]]'
    out[#out + 1] = ('name = "%s"'):format(provider.name)
    out[#out + 1] = ('type = "%s"'):format(provider.type)
    settings_of(provider, toml, '', out)
    if provider.whole then toml_rows(optional(fields), 'providers', false, out) end
    out[#out + 1] = '[[providers.keys]]'
    out[#out + 1] = ('key = "%s"'):format(provider.key)
    out[#out + 1] = ('priority = %d  # highest is tried first'):format(#providers - index)
    if provider.whole then toml_rows(limits(key_fields(fields)), 'providers.keys', false, out) end
    out[#out + 1] = ''
  end
  out[#out] = nil
end

local function toml_section(row, open, out)
  out[#out + 1] = ('%s[%s]'):format(open and '' or '#', row[1])
  toml_rows(row.fields, row[1], open, out)
end

-- Writes a file: each section with its comment, open if a member of it is not commented out.
local function write(schema, providers, write_providers, write_section)
  local out = {}
  for _, row in ipairs(sections(schema)) do
    out[#out + 1] = '\n# ' .. row.doc
    if row.type == 'list' then
      write_providers(row, providers, out)
    else
      write_section(row, begun(row.fields), out)
    end
  end
  return INTRODUCTION .. table.concat(out, '\n') .. '\n'
end

--- Returns the starter file as YAML.
---@param schema table
---@param providers ccrelay.Discovered[] in the order in which they are tried
---@return string
function M.yaml(schema, providers)
  return write(schema, providers, yaml_providers, yaml_section)
end

--- Returns the starter file as TOML.
---@param schema table
---@param providers ccrelay.Discovered[] in the order in which they are tried
---@return string
function M.toml(schema, providers)
  return write(schema, providers, toml_providers, toml_section)
end

return M
