-- SPDX-License-Identifier: Apache-2.0
-- Annotations as Markdown: types whole, bars kept from splitting cells.
local reference = require 'ccrelay.cli.reference'

local function class(fields, functions)
  local heads = { '---@class ccrelay.Thing' }
  for _, line in ipairs(fields) do heads[#heads + 1] = line end
  return reference.class { name = 'ccrelay.Thing', heads = heads, functions = functions or {} }
end

local HEAD = '#### Thing\n\n| | |\n|---|---|\n'

describe('the reference', function()
  for line, row in pairs {
    ['---@field plain string'] = '| `plain: string` |  |',
    ['---@field told integer? how many'] = '| `told: integer?` | how many |',
    ['---@field either \'a\'|\'b\' this | that'] = "| `either: 'a'\\|'b'` | this \\| that |",
    ['---@field map table<string, ccrelay.Cell> by name'] = '| `map: table<string, Cell>` | by name |',
    ['---@field call fun(one: ccrelay.Thing, two: table): number? by price'] =
      '| `call: fun(one: Thing, two: table): number?` | by price |',
    ['---@field list { a: string, b: number }[]? of both'] = '| `list: { a: string, b: number }[]?` | of both |',
  } do
    it('has a row for ' .. line, function()
      assert.equal(HEAD .. row .. '\n', class { line })
    end)
  end

  it('has a row for a function, with types of what it takes and returns', function()
    local lines = { '--- Does it.', '--- Twice.', '---@param what string|nil a text',
      '---@return number? first how many', '---@return ccrelay.Cell' }
    assert.equal(HEAD .. '| `thing:go(what: string\\|nil, ...): number?, Cell` | Does it. Twice. |\n',
      class({}, { { name = 'go', separator = ':', parameters = { 'what', '...' }, lines = lines } }))
  end)

  it('has a line for an alias', function()
    assert.equal("The type `State` is `'on'\\|'off'`.\n", reference.alias "---@alias ccrelay.State 'on'|'off'")
  end)
end)
