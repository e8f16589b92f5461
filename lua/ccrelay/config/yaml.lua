-- SPDX-License-Identifier: Apache-2.0
-- Parses YAML into a document tree. The events come from libyaml, which implements YAML 1.1; values are interpreted
-- here by the core schema of YAML 1.2. Values that the two versions read differently are kept as text until the schema
-- decides their type.
local yaml = require 'yaml'
local document = require 'ccrelay.config.document'

local M = {}

local Builder = {}
Builder.__index = Builder

local function fail(line, message)
  error({ line = line, message = message }, 0)
end

local words = {
  ['true'] = 'boolean', ['True'] = 'boolean', ['TRUE'] = 'boolean',
  ['false'] = 'boolean', ['False'] = 'boolean', ['FALSE'] = 'boolean',
  ['null'] = 'null', ['Null'] = 'null', ['NULL'] = 'null', ['~'] = 'null', [''] = 'null',
}

local function plain_type(text)
  if words[text] then return words[text] end
  if text:find '^[-+]?%d+$' or text:find '^0o[0-7]+$' or text:find '^0x%x+$' then return 'integer' end
  if text:find '^[-+]?%.?%d+%.?%d*[eE]?[-+]?%d*$' and tonumber(text) then return 'float' end
  if text:find '^[-+]?%.[iI][nN][fF]$' or text:find '^%.[nN][aA][nN]$' then return 'float' end
  return 'string'
end

local function parser_fault(words_of_libyaml)
  local text, line = words_of_libyaml:match '^(.-) at document: %d+, line: (%d+)'
  text = text or words_of_libyaml:match '^(.-) at document:' or words_of_libyaml:match '^[^\n]*'
  fail(tonumber(line), 'invalid YAML: ' .. text)
end

-- A secret that begins with "!" or "*" and is not in quotes is read as a tag or an alias: neither is shown unless it is
-- known to be one.
local function refuse_tag(line, tag)
  local is_known = tag == '!' or string.find(tag, '^tag:yaml%.org,2002:')
  fail(line, is_known and 'found the tag ' .. tag .. '; tags are not allowed'
    or 'found a tag; tags are not allowed, and text that begins with "!" needs quotes')
end

function Builder:event()
  local ok, event = pcall(self.next)
  if not ok then parser_fault(tostring(event)) end
  self.line = event.start_mark.line + 1
  if event.tag then refuse_tag(self.line, event.tag) end
  return event
end

function Builder:count(size)
  self.values = self.values + size
  if self.values > document.MOST_VALUES then
    fail(self.line, ('found more than %d values'):format(document.MOST_VALUES))
  end
end

function Builder:members(number)
  local most = document.MOST_MEMBERS
  if number > most then fail(self.line, ('found more than %d members'):format(most)) end
end

function Builder:alias(event)
  local target = self.anchors[event.anchor]
  if not target then
    fail(self.line, 'found an alias without an anchor before it; text that begins with "*" needs quotes')
  end
  if not target.size then fail(self.line, '*' .. event.anchor .. ' refers to itself') end
  self:count(target.size)
  return target.node
end

function Builder:scalar(event)
  local plain = event.style == 'PLAIN'
  local node = document.scalar(plain and plain_type(event.value) or 'string', event.value, self.line)
  node.plain = plain
  return node
end

function Builder:sequence()
  local list = document.list(self.line)
  while true do
    local event = self:event()
    if event.type == 'SEQUENCE_END' then return list end
    list.items[#list.items + 1] = self:node(event)
    self:members(#list.items)
  end
end

local function merge(map, source, line)
  local sources = source.kind == 'list' and source.items or { source }
  for _, from in ipairs(sources) do
    if from.kind ~= 'map' then fail(line, '<< takes a mapping or a list of mappings') end
    for _, name in ipairs(from.names) do document.put(map, name, from.values[name], from.lines[name]) end
  end
end

function Builder:key(event)
  if event.type ~= 'SCALAR' then fail(self.line, 'a key must be plain text') end
  if event.style == 'PLAIN' and event.value == '' then fail(self.line, 'a key is missing') end
  if event.anchor then fail(self.line, 'found the anchor &' .. event.anchor .. ' on a key, expected it on a value') end
  return event.value, event.style == 'PLAIN' and event.value == '<<'
end

function Builder:mapping()
  local map, merged, merged_line = document.map(self.line), nil, nil
  while true do
    local event = self:event()
    if event.type == 'MAPPING_END' then break end
    local name, merges = self:key(event)
    local line = self.line
    local node = self:node(self:event())
    self:members(#map.names)
    if merges and not merged then
      merged, merged_line = node, line
    elseif merges or not document.put(map, name, node, line) then
      fail(line, ('the key "%s" is given twice%s'):format(name,
        merges and '' or ', first on line ' .. map.lines[name]))
    end
  end
  if merged then merge(map, merged, merged_line) end
  return map
end

local builders = { SCALAR = Builder.scalar, SEQUENCE_START = Builder.sequence, MAPPING_START = Builder.mapping }

function Builder:node(event)
  if event.type == 'ALIAS' then return self:alias(event) end
  local before, anchor, mark = self.values, event.anchor, {}
  self.depth = self.depth + 1
  local deepest = document.DEEPEST
  if self.depth > deepest then fail(self.line, ('found values nested deeper than %d levels'):format(deepest)) end
  self:count(1)
  if anchor then self.anchors[anchor] = mark end
  mark.node = builders[event.type](self, event)
  mark.size = self.values - before
  self.depth = self.depth - 1
  return mark.node
end

function Builder:document()
  local event = self:event()
  if event.type == 'STREAM_START' then event = self:event() end
  if event.type == 'STREAM_END' then fail(nil, 'the file is empty') end
  local root = self:node(self:event())
  self:event()
  if self:event().type ~= 'STREAM_END' then
    fail(self.line, 'a second document begins here; only one is allowed')
  end
  if root.kind == 'scalar' and root.type == 'null' then fail(nil, 'the file is empty') end
  return root
end

-- lyaml cuts a value at a NUL, so an escape that makes one is refused everywhere.
local function nul_escape(text)
  local bare = text:gsub('\\\\', '  ')
  for _, escape in ipairs { '\\0', '\\x00', '\\u0000', '\\U00000000' } do
    local at = bare:find(escape, 1, true)
    if at then
      local _, breaks = bare:sub(1, at):gsub('\n', '')
      return breaks + 1
    end
  end
end

--- Parses one YAML document.
---@param text string
---@return ccrelay.Node? document, {line: integer?, message: string}? fault
function M.parse(text)
  local line = text:find('\\', 1, true) and nul_escape(text)
  if line then return nil, { line = line, message = 'found an escape for the NUL character' } end
  local builder = setmetatable({ next = yaml.parser(text), anchors = {}, values = 0, depth = 0 }, Builder)
  local ok, result = pcall(builder.document, builder)
  if ok then return result end
  if type(result) ~= 'table' then error(result, 0) end
  return nil, result
end

return M
