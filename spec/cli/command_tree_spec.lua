-- SPDX-License-Identifier: Apache-2.0
-- Completion and the manual page are made from the options of the commands and their help texts, so these must agree.
local cli = require 'ccrelay.cli'
local command_tree = require 'ccrelay.cli.command_tree'

local function by_path()
  local nodes = {}
  for _, node in ipairs(command_tree.nodes()) do nodes[node.path] = node end
  return nodes
end

describe('the tree of commands', function()
  it('has every command and sub-command', function()
    local nodes = by_path()
    assert.same(cli.verbs(), nodes[''].words)
    assert.same({ 'cc', 'init', 'schema', 'show', 'validate' }, nodes[' config'].words)
    assert.same({ 'init', 'key', 'remove' }, nodes[' config cc'].words)
    assert.same({}, nodes[' config cc remove'].options)
    assert.equal('format', nodes[' config init'].options[1].name)
    assert.same({ 'bash', 'zsh', 'fish' }, nodes[' completion'].words)
  end)

  for _, name in ipairs(cli.verbs()) do
    local told, taken = {}, {}
    for option in cli.verb(name).usage:gmatch '%-%-(%l[%l-]*)' do told[option] = true end
    for _, node in ipairs(command_tree.nodes()) do
      if (node.path .. ' '):find(' ' .. name .. ' ', 1, true) == 1 then
        for _, option in ipairs(node.options) do taken[option.name] = true end
      end
    end

    it('has the options that the help text tells: ' .. name, function()
      assert.same(taken, told)
    end)
  end
end)
