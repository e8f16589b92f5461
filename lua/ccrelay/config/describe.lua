-- SPDX-License-Identifier: Apache-2.0
-- Generates documents from the schema: a JSON Schema for editors, the reference page, the starter file.
local complete = require 'ccrelay.config.complete'
local discover = require 'ccrelay.config.discover'
local json = require 'ccrelay.util.json'
local schema = require 'ccrelay.config.schema'
local starter = require 'ccrelay.config.starter'

local M = {}

local VARIABLE = { type = 'string', pattern = '\\$\\{[A-Za-z_][A-Za-z0-9_]*(:-[^{}]*)?\\}' }

local of_type

local function object(rows)
  local properties, required = {}, {}
  for _, row in ipairs(rows) do
    local property = of_type(row)
    property.description = row.doc
    if row.default ~= nil and not row.secret and row.type ~= 'map' and row.type ~= 'list' then
      property.default = row.default
    end
    properties[row[1]] = property
    if row.required and not row.only then required[#required + 1] = row[1] end
  end
  local result = { type = 'object', properties = properties, additionalProperties = false }
  if #required > 0 then result.required = json.array(required) end
  return result
end

local function any_of(row, first)
  local options = { first, VARIABLE }
  if row.also then options[3] = { enum = json.array(row.also) } end
  return { anyOf = json.array(options) }
end

local makers = {
  section = function(row) return object(row.fields) end,
  provider = function(row) return object(row.fields) end,
  any = function() return { description = '' } end,
  map = function(row) return { type = 'object', additionalProperties = of_type(row.item) } end,
  list = function(row)
    local list = { type = 'array', items = of_type(row.item), maxItems = row.most, minItems = row.filled and 1 or nil }
    return row.single and { anyOf = json.array { of_type(row.item), list } } or list
  end,
  integer = function(row)
    return any_of(row, { type = 'integer', minimum = row.min or 0, maximum = row.max or 2147483647 })
  end,
  number = function(row)
    return any_of(row, { type = 'number', minimum = row.min or 0, maximum = row.max or 2147483647 })
  end,
  boolean = function(row) return any_of(row, { type = 'boolean' }) end,
  date = function() return { type = 'string', format = 'date' } end,
  choice = function(row) return any_of(row, { enum = json.array(row.of) }) end,
}

function of_type(row)
  local maker = makers[row.type]
  return maker and maker(row) or { type = 'string' }
end

--- Returns a JSON Schema (draft 2020-12) for editors, as a table for ccrelay.json.
---@param adapters table<string, table>? by type, for the keys they declare
---@return table
function M.json_schema(adapters)
  local result = object(complete.schema(adapters).fields)
  result['$schema'] = 'https://json-schema.org/draft/2020-12/schema'
  result.title = 'ccrelay configuration'
  return result
end

local function default_text(row)
  if row.required then return 'required' end
  if row.default == nil or type(row.default) == 'table' and #row.default == 0 then return '' end
  if type(row.default) == 'table' then return '`' .. table.concat(row.default, ', ') .. '`' end
  return row.default == '' and '`""`' or '`' .. tostring(row.default) .. '`'
end

local WORDS = { any = 'anything', listen = 'address', url = 'URL' }

local function word_of(kind)
  return WORDS[kind] or kind
end

local function several(word)
  return word .. (string.find(word, 's$') and 'es' or 's')
end

local function type_text(row)
  local word = word_of(row.type)
  if row.type == 'choice' then word = table.concat(row.of, ', ') end
  if row.type == 'list' then word = 'list of ' .. several(word_of(row.item.type)) end
  if row.type == 'map' then word = 'map of ' .. several(word_of(row.item.type)) end
  if row.type == 'integer' and row.min and row.min > -1 then word = ('integer from %d'):format(row.min) end
  return row.also and word .. ', ' .. table.concat(row.also, ', ') or word
end

local BEHIND = { list = '[].', map = '.*.' }

local function lines(rows, path, out)
  for _, row in ipairs(rows) do
    local name = path .. row[1]
    local doc = row.only and row.doc .. ' (type ' .. table.concat(row.only, ', ') .. ')' or row.doc
    out[#out + 1] = ('| `%s` | %s | %s | %s | %s |'):format(
      name, type_text(row), default_text(row), row.reload == 'restart' and 'restart' or 'reload', doc)
    local inner = row.fields or row.item and row.item.fields
    if inner then lines(inner, name .. (BEHIND[row.type] or '.'), out) end
  end
  return out
end

--- Returns the reference of all keys, in Markdown.
---@param adapters table<string, table>? by type, for the keys they declare
---@return string
function M.reference(adapters)
  local out = { '| key | type | default | takes effect | |', '|---|---|---|---|---|' }
  return table.concat(lines(complete.schema(adapters).fields, '', out), '\n') .. '\n'
end

local function nothing() end

--- Returns a commented configuration to start from, with the providers whose variables are set.
---@param format 'yaml'|'toml'
---@param env (fun(name: string): string?)? no variables unless given
---@return string text it names variables, but holds none of their values
---@return string[] notes which providers were found, and which were left out
function M.init_text(format, env)
  local providers, left_out = discover.providers(env or nothing)
  local notes = {}
  for _, provider in ipairs(providers) do
    if provider.from then notes[#notes + 1] = ('found %s: %s'):format(provider.from, provider.name) end
  end
  for _, note in ipairs(left_out) do notes[#notes + 1] = note end
  return starter[format](schema, providers), notes
end

return M
