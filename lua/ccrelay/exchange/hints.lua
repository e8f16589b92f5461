-- SPDX-License-Identifier: Apache-2.0
-- Knows the headers in which Claude Code tells what a request is for. They come from clients: what cannot
-- be read means nothing.
local text = require 'ccrelay.util.text'

local M = {}

--- Views of an exchange that are the text of a header.
M.HEADERS = {
  session = 'x-claude-code-session-id', class = 'x-claude-code-request-class', agent = 'x-claude-code-agent-id',
  agent_type = 'x-claude-code-agent-type', parent_agent = 'x-claude-code-parent-agent-id',
  prompt_id = 'x-claude-code-prompt-id', compaction = 'x-claude-code-compaction',
  context_compacted = 'x-claude-code-context-compacted',
}
M.TOOL_DURATIONS = 'x-claude-code-prev-tool-durations'

local MOST_BYTES, MOST_ENTRIES = 4096, 32 -- of tool durations, by the gateway protocol

--- How long the tools of the turn before took, by name: "Bash=742;Read=9", names percent-encoded. Entries
--- that cannot be read are left out; those after the 32nd, too.
---@param value string of x-claude-code-prev-tool-durations
---@return table<string, number>? milliseconds nil without any
function M.tool_durations(value)
  if #value > MOST_BYTES then return nil end
  local durations, count = {}, 0
  for entry in string.gmatch(value, '[^;]+') do
    local name, milliseconds = string.match(entry, '^%s*([^=%s]+)=(%d+%.?%d*)%s*$')
    if name and count < MOST_ENTRIES then
      durations[text.unescape(name)] = tonumber(milliseconds)
      count = count + 1
    end
  end
  return count > 0 and durations or nil
end

return M
