-- SPDX-License-Identifier: Apache-2.0
-- Writes completion scripts for bash, zsh and fish. They are made from the options of the commands, and complete
-- without running ccrelay. Names of files are completed where one is expected; in bash also where nothing else fits.
local M = {}

-- Options whose value is the name of a file.
local FILES = { config = true, output = true }

local function quoted(text)
  return "'" .. text:gsub("'", "'\\''") .. "'"
end

local function option_names(node)
  local names = { '--help' }
  for _, option in ipairs(node.options) do names[#names + 1] = '--' .. option.name end
  return table.concat(names, ' ')
end

local function paths(nodes)
  local list = {}
  for index = 2, #nodes do list[#list + 1] = quoted(nodes[index].path) end
  return list
end

-- The lines that find out which command is being typed, and complete values of choices, options and words. They are
-- the same in bash and zsh; give is the command that offers words, and ends the function.
local function cases(nodes, out)
  out[#out + 1] = '  case "$at $previous" in'
  for _, node in ipairs(nodes) do
    for _, option in ipairs(node.options) do
      local pattern = quoted(node.path .. ' --' .. option.name)
      if option.type == 'choice' then
        out[#out + 1] = ('    %s) _ccrelay_give %s; return ;;'):format(pattern, table.concat(option.of, ' '))
      elseif option.type ~= 'flag' then
        out[#out + 1] = ('    %s)%s return ;;'):format(pattern, FILES[option.name] and ' _ccrelay_files;' or '')
      end
    end
  end
  out[#out + 1] = '  esac\n  case "$at $current" in'
  for _, node in ipairs(nodes) do
    out[#out + 1] = ('    %s*) _ccrelay_give %s ;;'):format(quoted(node.path .. ' -'), option_names(node))
  end
  out[#out + 1] = '    *) case "$at" in'
  for _, node in ipairs(nodes) do
    out[#out + 1] = ('      %s) _ccrelay_give %s%s ;;'):format(quoted(node.path), table.concat(node.words, ' '),
      node.takes_files and '; _ccrelay_files' or '')
  end
  out[#out + 1] = '    esac ;;\n  esac\n}'
end

local BASH = [==[
# bash completion of ccrelay; made by: ccrelay completion bash
_ccrelay_give() {
  local word
  for word in "$@"; do
    if [[ $word == "$current"* ]]; then COMPREPLY+=("$word"); fi
  done
}

_ccrelay_files() { :; } # with nothing to offer, bash completes files

_ccrelay() {
  local at='' current=${COMP_WORDS[COMP_CWORD]} previous=${COMP_WORDS[COMP_CWORD - 1]} word
  COMPREPLY=()
  if [[ $previous == = ]]; then previous=${COMP_WORDS[COMP_CWORD - 2]}; fi # bash splits --name=value
  if [[ $current == = ]]; then current=''; fi
  for word in "${COMP_WORDS[@]:1:COMP_CWORD-1}"; do
    case "$at $word" in
      %s) at="$at $word" ;;
    esac
  done]==]

local ZSH = [==[
#compdef ccrelay
# zsh completion of ccrelay; made by: ccrelay completion zsh
_ccrelay_give() { compadd -- "$@" }

_ccrelay_files() { _files }

_ccrelay() {
  local at='' current=$PREFIX previous=$words[CURRENT-1] word
  for word in "${(@)words[2,CURRENT-1]}"; do
    case "$at $word" in
      %s) at="$at $word" ;;
    esac
  done]==]

local ZSH_END = [==[

if [ "$funcstack[1]" = _ccrelay ]; then _ccrelay "$@"; else compdef _ccrelay ccrelay; fi
]==]

local FISH = [==[
# fish completion of ccrelay; made by: ccrelay completion fish
function __ccrelay_at
    set -l at ''
    for word in (commandline -opc)[2..-1]
        if contains -- "$at $word" %s
            set at "$at $word"
        end
    end
    test "$at" = "$argv[1]"
end
]==]

--- Returns the completion script for bash.
---@param nodes ccrelay.CommandNode[]
---@return string
function M.bash(nodes)
  local out = { BASH:format(table.concat(paths(nodes), ' | ')) }
  cases(nodes, out)
  return table.concat(out, '\n') .. '\n\ncomplete -o default -F _ccrelay ccrelay\n'
end

--- Returns the completion script for zsh, for a folder of $fpath or to be sourced.
---@param nodes ccrelay.CommandNode[]
---@return string
function M.zsh(nodes)
  local out = { ZSH:format(table.concat(paths(nodes), ' | ')) }
  cases(nodes, out)
  return table.concat(out, '\n') .. '\n' .. ZSH_END
end

local function summary_of(nodes, path)
  for _, node in ipairs(nodes) do
    if node.path == path and node.summary then return ' -d ' .. quoted(node.summary) end
  end
  return ''
end

local function fish_option(option)
  if option.type == 'flag' then return '-l ' .. option.name end
  if FILES[option.name] then return '-l ' .. option.name .. ' -r' end
  local words = option.of and ' -a ' .. quoted(table.concat(option.of, ' ')) or ''
  return '-l ' .. option.name .. ' -x' .. words
end

--- Returns the completion script for fish.
---@param nodes ccrelay.CommandNode[]
---@return string
function M.fish(nodes)
  local out = { FISH:format(table.concat(paths(nodes), ' ')) }
  for _, node in ipairs(nodes) do
    local head = ('complete -c ccrelay -n "__ccrelay_at %s"'):format(quoted(node.path))
    for _, word in ipairs(node.words) do
      out[#out + 1] = ('%s -f -a %s%s'):format(head, word, summary_of(nodes, node.path .. ' ' .. word))
    end
    for _, option in ipairs(node.options) do out[#out + 1] = head .. ' ' .. fish_option(option) end
    out[#out + 1] = head .. ' -l help'
    if not node.takes_files then out[#out + 1] = head .. ' -f' end
  end
  return table.concat(out, '\n') .. '\n'
end

return M
