-- SPDX-License-Identifier: Apache-2.0
-- Reads the headers in which Claude Code tells what a request is for. They come from clients: a malformed one counts as
-- absent.
local text = require 'ccrelay.util.text'

local M = {}

--- Headers whose text is a view of the exchange, by name of the view.
M.HEADERS = {
  session = 'x-claude-code-session-id', class = 'x-claude-code-request-class', agent = 'x-claude-code-agent-id',
  agent_type = 'x-claude-code-agent-type', parent_agent = 'x-claude-code-parent-agent-id',
  prompt_id = 'x-claude-code-prompt-id', compaction = 'x-claude-code-compaction',
  context_compacted = 'x-claude-code-context-compacted',
}
M.TOOL_DURATIONS = 'x-claude-code-prev-tool-durations'

local MOST_BYTES, MOST_ENTRIES = 4096, 32 -- of tool durations, by the gateway protocol

--- Parses how long the tools of the turn before took: "Bash=742;Read=9", names percent-encoded. Malformed entries and
--- those after the 32nd are left out.
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
