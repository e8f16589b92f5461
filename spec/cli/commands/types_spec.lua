-- SPDX-License-Identifier: Apache-2.0
-- The annotations for editors: Lua that an editor can read, whole in itself.
local helper = require 'support.config_helper'
local json = require 'cjson'
local types = require 'ccrelay.cli.commands.types'

local MODULES = { 'ccrelay', 'ccrelay.fit', 'ccrelay.json', 'ccrelay.testing' }

describe('ccrelay types', function()
  for _, module in ipairs(MODULES) do
    it('prints a definition file in Lua: ' .. module, function()
      local text = types.text(module)
      assert.equal('---@meta\n', text:sub(1, 9))
      assert.equal('table', type(assert(loadstring(text))()))
    end)
  end

  it('returns what a policy requires', function()
    local relay = assert(loadstring(types.text 'ccrelay'))()
    assert.is_function(relay.upstreams)
    assert.is_function(relay.cell)
  end)

  it('names no class and no alias that it does not define', function()
    local all, defined, count = {}, {}, 0
    for index, module in ipairs(MODULES) do all[index] = types.text(module) end
    local text = table.concat(all)
    for name in text:gmatch '%-%-%-@%l+ (ccrelay%.%u%w*)' do defined[name] = true end
    for name in text:gmatch 'ccrelay%.%u%w*' do
      assert.is_true(defined[name] or false, name)
      count = count + 1
    end
    assert.is_true(count > 40)
  end)

  it('describes every parameter of every function', function()
    for _, class in ipairs(types.classes()) do
      for _, entry in ipairs(class.functions) do
        local told = {}
        for _, line in ipairs(entry.lines) do
          local name, kind = line:match '^%-%-%-@param ([%w_.]+) (%S+)'
          if name then told[#told + 1] = kind and name end
        end
        assert.same(entry.parameters, told, class.name .. '.' .. entry.name)
      end
    end
  end)

  it('leaves out what is private to the library', function()
    local text = types.text 'ccrelay'
    for _, name in ipairs { 'sent', 'event', 'attempt', 'handle', 'exchange' } do
      assert.is_nil(text:find('@field ' .. name .. ' ', 1, true), name)
    end
    for _, name in ipairs { 'inspect', 'features', 'quote', 'clean', '__index' } do
      assert.is_nil(text:find('[.:]' .. name .. '%('), name)
    end
    assert.is_nil(text:find('@package', 1, true))
  end)
end)

it('the sample for editors is JSON and names the folder of the files that the usage text tells to make', function()
  local sample = json.decode(helper.read 'examples/luarc.json')
  assert.equal('LuaJIT', sample['runtime.version'])
  for _, folder in ipairs(sample['workspace.library']) do
    assert.is_truthy(types.usage:find('> ' .. folder .. '/ccrelay.lua', 1, true))
  end
  assert.equal('disable', sample['runtime.builtin'].io)
end)
