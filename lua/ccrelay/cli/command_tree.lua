-- SPDX-License-Identifier: Apache-2.0
-- Lists all commands and sub-commands with their options, for completion and the manual page.
local cli = require 'ccrelay.cli'
local lists = require 'ccrelay.util.lists'

local M = {}

---@class ccrelay.CommandNode
---@field path string its words, each with a space before it: " config init"; "" for ccrelay itself
---@field summary string? of a command
---@field usage string? the help text of a command
---@field options ccrelay.Option[]
---@field takes_files boolean? its plain argument may be a file
---@field words string[] what may follow: sub-commands, or values of a plain argument

local add

-- Adds the sub-commands of a node. Each is a list of options or has sub-commands of its own.
local function add_all(nodes, path, verbs)
  for _, name in ipairs(lists.names(verbs)) do
    local inner = verbs[name]
    local has_own = #inner == 0 and next(inner) ~= nil
    add(nodes, { path = path .. ' ' .. name, options = has_own and {} or inner }, has_own and inner or nil)
  end
end

function add(nodes, node, verbs, takes)
  node.words = verbs and lists.names(verbs) or takes and takes() or {}
  nodes[#nodes + 1] = node
  if verbs then add_all(nodes, node.path, verbs) end
end

--- Returns ccrelay itself, every command, and every sub-command behind its command.
---@return ccrelay.CommandNode[]
function M.nodes()
  local names = cli.verbs()
  local nodes = { { path = '', options = {}, words = names } }
  for _, name in ipairs(names) do
    local verb = assert(cli.verb(name))
    local node = { path = ' ' .. name, summary = verb.summary, usage = verb.usage, options = verb.options or {},
      takes_files = verb.takes_files }
    add(nodes, node, verb.verbs, verb.takes)
  end
  return nodes
end

return M
