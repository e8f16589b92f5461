-- SPDX-License-Identifier: Apache-2.0
-- The scripts run in the shells they are for. What is asked stands on the line that is being typed.
local command_tree = require 'ccrelay.cli.command_tree'
local completion = require 'ccrelay.cli.completion'
local each = require 'ccrelay.util.each'
local helper = require 'support.config_helper'

local BASH = [==[
source %s
COMP_WORDS=(ccrelay %s)
COMP_CWORD=$((${#COMP_WORDS[@]} - 1))
_ccrelay
echo "${COMPREPLY[@]}"
]==]

-- Outside the line editor the functions of zsh's completion are stand-ins.
local ZSH = [==[
compdef() { }
compadd() { shift; for word in "$@"; do [[ $word == $PREFIX* ]] && found+=($word); done }
_files() { [[ -n $PREFIX ]] || found+=(FILES) }
source %s
words=(ccrelay %s) found=()
CURRENT=$#words PREFIX=$words[-1]
_ccrelay
echo $found
]==]

local FISH = [==[
source %s
for line in (complete -C (string unescape -- 'ccrelay %s'))
    string split \t -- $line | head -n 1
end | sort | string join ' '
]==]

local SHELLS = { bash = BASH, zsh = ZSH, fish = FISH }

local CASES = {
  { 'conf', 'config' },
  { 'config sch', 'schema' },
  { 'config cc ""', 'init key remove' },
  { 'config cc init --ke', '--key' },
  { 'config cc init --key ""', 'no yes' },
  { 'config init --f', '--format' },
  { 'run --log-level d', 'debug' },
  { 'run round', 'round_robin' },
  { 'run failover.lua --w', '--watch' },
  { 'help completio', 'completion' },
  { 'completion z', 'zsh' },
  { 'types ccrelay.f', 'ccrelay.fit' },
  { 'status --format j', 'json' },
}

local function sorted(text)
  local words = {}
  for word in text:gmatch '%S+' do words[#words + 1] = word end
  table.sort(words)
  return table.concat(words, ' ')
end

for shell, harness in pairs(SHELLS) do
  describe('completion in ' .. shell, function()
    local folder
    setup(function()
      folder = helper.folder()
      helper.write(folder .. '/script', completion[shell](command_tree.nodes()))
    end)
    teardown(function() helper.remove(folder) end)

    local function run(text)
      helper.write(folder .. '/test', text)
      local pipe = io.popen(('cd %s && HOME=%s %s %s/test 2>&1'):format(folder, folder, shell, folder))
      local out = pipe:read '*a'
      pipe:close()
      return out
    end

    it('offers commands, options and their values', function()
      if os.execute(('command -v %s >/dev/null'):format(shell)) ~= 0 then
        return pending(shell .. ' is not installed')
      end
      assert.equal(0, os.execute(('%s -n %s/script'):format(shell, folder)))
      for _, case in ipairs(CASES) do
        local line = shell == 'fish' and case[1]:gsub(' ""', ' ') or case[1]
        assert.equal(case[2], sorted(run(harness:format(folder .. '/script', line))), case[1])
      end
    end)
  end)
end

it('fish completes files only where one is expected', function()
  if os.execute 'command -v fish >/dev/null' ~= 0 then return pending 'fish is not installed' end
  local folder = helper.folder()
  helper.write(folder .. '/script', completion.fish(command_tree.nodes()))
  local cases = { ['config init --output da'] = 'data.txt\n', ['test da'] = 'data.txt\n', ['demo da'] = '' }
  for line, expected in each(cases) do
    helper.write(folder .. '/data.txt', '')
    helper.write(folder .. '/test', FISH:format(folder .. '/script', line))
    local pipe = io.popen(('cd %s && HOME=%s fish test 2>&1'):format(folder, folder))
    local out = pipe:read '*a'
    pipe:close()
    assert.equal(expected, (out:gsub('^\n$', '')), line)
  end
  helper.remove(folder)
end)

it('zsh completes files where a file is expected, and nothing for other values', function()
  if os.execute 'command -v zsh >/dev/null' ~= 0 then return pending 'zsh is not installed' end
  local folder = helper.folder()
  helper.write(folder .. '/script', completion.zsh(command_tree.nodes()))
  for line, expected in each { ['run --config ""'] = 'FILES\n', ['run --listen ""'] = '\n', ['test ""'] = 'FILES\n' } do
    helper.write(folder .. '/test', ZSH:format(folder .. '/script', line))
    local pipe = io.popen('zsh ' .. folder .. '/test 2>&1')
    local out = pipe:read '*a'
    pipe:close()
    assert.equal(expected, out, line)
  end
  helper.remove(folder)
end)

it('bash completes a value behind "="', function()
  local folder = helper.folder()
  helper.write(folder .. '/script', completion.bash(command_tree.nodes()))
  helper.write(folder .. '/test', BASH:format(folder .. '/script', 'run --log-level = e'))
  local pipe = io.popen('bash ' .. folder .. '/test 2>&1')
  local out = pipe:read '*a'
  pipe:close()
  helper.remove(folder)
  assert.equal('error\n', out)
end)
