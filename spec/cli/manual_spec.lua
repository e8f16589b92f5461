-- SPDX-License-Identifier: Apache-2.0
local command_tree = require 'ccrelay.cli.command_tree'
local helper = require 'support.config_helper'
local manual = require 'ccrelay.cli.manual'

describe('the manual page', function()
  it('has options, examples and paragraphs of the help texts as roff', function()
    local usage = [[
usage: ccrelay x [--a N]
       ccrelay x y

.A paragraph with a \ and a-b
in two lines.

  --a N    what a
           does
  --b      's

  $ an example
]]
    local page = manual.page({ { path = ' x', summary = 'do it', usage = usage } }, '1.2')
    assert.is_truthy(page:find('.TH CCRELAY 1 "" "ccrelay 1.2"', 1, true))
    assert.is_truthy(page:find('.SS x\ndo it.\n.PP\n.nf\nccrelay x [\\-\\-a N]\nccrelay x y\n.fi\n' ..
      '.PP\n\\&.A paragraph with a \\e and a\\-b\nin two lines.\n' ..
      '.TP\n.B \\-\\-a N\nwhat a\ndoes\n.TP\n.B \\-\\-b\n\\(aqs\n' ..
      '.PP\n.RS 4\n.nf\n$ an example\n.fi\n.RE\n', 1, true), page)
  end)

  it('has every command and option, and groff finds no fault in it', function()
    local page = manual.page(command_tree.nodes(), '0')
    for _, node in ipairs(command_tree.nodes()) do
      if node.usage then assert.is_truthy(page:find('\n.SS ' .. node.path:sub(2) .. '\n', 1, true), node.path) end
      for _, option in ipairs(node.options) do
        assert.is_truthy(page:find('\\-\\-' .. option.name:gsub('%-', '\\-'), 1, true), option.name)
      end
    end
    if os.execute 'command -v groff >/dev/null' ~= 0 then return pending 'groff is not installed' end
    local folder = helper.folder()
    helper.write(folder .. '/page', page)
    os.execute(('groff -man -ww -z %s/page >%s/told 2>&1'):format(folder, folder))
    local told = helper.read(folder .. '/told')
    helper.remove(folder)
    assert.equal('', told)
  end)
end)
