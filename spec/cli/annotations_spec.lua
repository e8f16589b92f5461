-- SPDX-License-Identifier: Apache-2.0
local annotations = require 'ccrelay.cli.annotations'

local function read(text)
  return annotations.reader(function() return text end)
end

local function names(list)
  local out = {}
  for index, entry in ipairs(list) do out[index] = entry.name end
  return out
end

describe('the reader of annotations', function()
  local TEXT = [[
local other = require 'ccrelay.other'

--- Not of the class below.

---@alias t.Kind 'a'|'b'

---@class t.Thing of use
---@field one integer
---@field package two integer
local Thing, more = {}, {}

--- Does it.
---@param what string
---@return t.Kind
function Thing:go(what)
  return what
end

---@package
function Thing:hide() end

function Thing.plain(first, ...) end
more.x = other.y
Thing.lent = other.lend
]]

  it('finds fields, functions with their comments, and functions borrowed from other modules', function()
    local reader = annotations.reader(function(module)
      return module == 'm' and TEXT or '\n--- Lends.\n---@param thing t.Thing\n---@param n integer\n'
        .. 'function M.lend(thing, n) end\n'
    end)
    local class = reader:class('m', 't.Thing')
    assert.same({ '---@class t.Thing of use', '---@field one integer' }, class.heads)
    assert.same({ 'one' }, class.fields)
    assert.same({ 'go', 'plain', 'lent' }, names(class.functions))
    assert.same({ '--- Does it.', '---@param what string', '---@return t.Kind' }, class.functions[1].lines)
    assert.same({ 'first', '...' }, class.functions[2].parameters)
    assert.same({ name = 'lent', separator = ':', parameters = { 'n' }, lines = { '--- Lends.',
      '---@param n integer' } }, class.functions[3])
    assert.equal("---@alias t.Kind 'a'|'b'", reader:alias('m', 't.Kind'))
  end)

  it('raises an error for a class or alias that is missing', function()
    assert.has_error(function() read('local x'):class('m', 't.None') end)
    assert.has_error(function() read('local x'):alias('m', 't.None') end)
  end)
end)
