-- SPDX-License-Identifier: Apache-2.0
local claude_settings = require 'ccrelay.cli.claude_settings'
local helper = require 'support.config_helper'

local URL = 'env.ANTHROPIC_BASE_URL'

describe('the settings of Claude Code', function()
  local folder, path

  before_each(function()
    folder = helper.folder()
    path = folder .. '/settings.json'
  end)
  after_each(function() helper.remove(folder) end)

  local function members(url)
    return { { path = URL, value = url or 'http://127.0.0.1:8787' }, { path = 'apiKeyHelper', value = "'a b' key" } }
  end

  local function init(url)
    return assert(claude_settings.init(path, members(url)))
  end

  local function entries()
    local pipe = io.popen('ls -A ' .. folder .. ' | tr "\\n" " "')
    local text = pipe:read '*a'
    pipe:close()
    return text
  end

  it('are found by CLAUDE_CONFIG_DIR, else in the home folder', function()
    local function at(variables) return claude_settings.path(function(name) return variables[name] end) end
    assert.equal('/c/settings.json', at { CLAUDE_CONFIG_DIR = '/c', HOME = '/h' })
    assert.equal('/h/.claude/settings.json', at { CLAUDE_CONFIG_DIR = '', HOME = '/h' })
    assert.is_nil(at {})
  end)

  local TEXTS = {
    '{"permissions":{"allow":["Read"]},"env":{"A":"1"}}', '{ }', '\n', '{"env" : { } ,\n "b": 1.50}\n',
    '{\n  "z": 1,\n  "env": {\n    "ANTHROPIC_BASE_URL": "https://other.example",\n    "A": "\\u00e9"\n  }\n}\n',
  }
  for index, text in ipairs(TEXTS) do
    it('are the same bytes after init and remove: text ' .. index, function()
      helper.write(path, text)
      init()
      assert.is_truthy(helper.read(path):find('"ANTHROPIC_BASE_URL": ?"http://127.0.0.1:8787"'))
      assert.equal(text, helper.read(path .. '.before-ccrelay'))
      init 'http://127.0.0.1:1'
      assert.is_true(claude_settings.remove(path))
      assert.equal(text, helper.read(path))
      assert.equal('settings.json ', entries())
    end)
  end

  it('are gone after remove when there were none, unless something else is in them', function()
    init()
    assert.is_true(claude_settings.remove(path))
    assert.equal('', entries())
    init()
    helper.write(path, helper.read(path):gsub('^{', '{"theme": "dark",'))
    assert.is_true(claude_settings.remove(path))
    assert.equal('{"theme": "dark"\n}\n', helper.read(path))
  end)

  it('keep what was changed since', function()
    helper.write(path, '{"env": {"ANTHROPIC_BASE_URL": "https://other.example", "A": "1"}, "model": "opus"}')
    assert.same({ URL }, init())
    local text = helper.read(path):gsub('"1"', '"2"'):gsub('opus', 'sonnet'):gsub("'a b' key", 'mine')
    helper.write(path, text)
    assert.is_true(claude_settings.remove(path))
    assert.equal('{"env": {"ANTHROPIC_BASE_URL": "https://other.example", "A": "2"}, "model": "sonnet", ' ..
      '"apiKeyHelper": "mine"}', helper.read(path))
  end)

  it('are undone also after the text was formatted anew', function()
    helper.write(path, '{"model": "opus"}')
    init()
    helper.write(path, '{\n  "env": {\n    "ANTHROPIC_BASE_URL": "http://127.0.0.1:8787"\n  },\n' ..
      '  "apiKeyHelper": "\'a b\' key",\n  "model": "opus"\n}\n')
    assert.is_true(claude_settings.remove(path))
    assert.equal('{\n  "model": "opus"\n}\n', helper.read(path))
  end)

  it('are not touched without a record', function()
    helper.write(path, '{"env": {"ANTHROPIC_BASE_URL": "http://127.0.0.1:8787"}}')
    assert.is_false(claude_settings.remove(path))
    assert.equal('settings.json ', entries())
  end)

  it('with a fault are refused with file and line, and not touched', function()
    local function refused(text, expected)
      helper.write(path, text)
      local done, message = claude_settings.init(path, members())
      assert.is_nil(done)
      assert.equal(path .. expected .. '; nothing was changed', message)
      assert.equal(text, helper.read(path))
      assert.equal('settings.json ', entries())
    end
    refused('{\n"a": 1,\n}', ':3: this is not valid JSON; unexpected "}"')
    refused('[]', ':1: this is not a JSON object')
    refused('{"env": "x"}', ': env is not an object')
  end)

  it('with a fault after init are refused by remove', function()
    init()
    helper.write(path, '{')
    local done, message = claude_settings.remove(path)
    assert.is_nil(done)
    assert.equal(path .. ':1: the JSON text ends too early; nothing was changed', message)
    helper.write(path, '{}')
    helper.write(path .. '.ccrelay', 'x')
    assert.is_truthy(select(2, claude_settings.remove(path)):find('not the record of an earlier init', 1, true))
  end)

  it('keep their mode and stay a symbolic link', function()
    helper.write(folder .. '/real.json', '{}')
    os.execute(('chmod 640 %s/real.json && ln -s real.json %s'):format(folder, path))
    init()
    local pipe = io.popen(('stat -c "%%a %%F" %s/real.json %s %s.before-ccrelay'):format(folder, path, path))
    local facts = pipe:read '*a'
    pipe:close()
    assert.equal('640 regular file\n777 symbolic link\n600 regular file\n', facts)
    assert.is_true(claude_settings.remove(path))
    assert.equal('{}', helper.read(folder .. '/real.json'))
  end)

  it('that cannot be written leave nothing behind', function()
    os.execute(('ln -s nowhere/x %s'):format(path))
    local done, message = claude_settings.init(path, members())
    assert.is_nil(done)
    assert.equal(path .. ': the link leads nowhere', message)
    assert.equal('settings.json ', entries())
  end)
end)
