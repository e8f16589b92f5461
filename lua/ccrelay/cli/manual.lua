-- SPDX-License-Identifier: Apache-2.0
-- Writes the manual page ccrelay(1) from the help texts of the commands, as roff for man(7).
local M = {}

-- A backslash and a minus have a meaning in roff; a dot or quote at the beginning of a line makes it a request.
local function escaped(text)
  return (text:gsub('\\', '\\e'):gsub('%-', '\\-'):gsub("'", '\\(aq'):gsub('^%.', '\\&.'))
end

local function add_usage(lines, out)
  out[#out + 1] = '.PP\n.nf'
  for _, line in ipairs(lines) do
    local text = line:gsub('^usage: ', '       ')
    out[#out + 1] = escaped((text:gsub('^       ', '')))
  end
  out[#out + 1] = '.fi'
end

-- Options: a line "  --name VALUE    text" each, and lines that continue the text.
local function add_options(lines, out)
  for _, line in ipairs(lines) do
    local option, text = line:match '^  (%-%-.-)  +(.*)$'
    if option then
      out[#out + 1] = '.TP\n.B ' .. escaped(option) .. '\n' .. escaped(text)
    else
      out[#out + 1] = escaped((line:gsub('^%s+', '')))
    end
  end
end

local function add_literal(lines, out)
  out[#out + 1] = '.PP\n.RS 4\n.nf'
  for _, line in ipairs(lines) do out[#out + 1] = escaped((line:gsub('^  ', ''))) end
  out[#out + 1] = '.fi\n.RE'
end

local function add_paragraph(lines, out)
  out[#out + 1] = '.PP'
  for _, line in ipairs(lines) do out[#out + 1] = escaped(line) end
end

local function add_block(block, out)
  local lines = {}
  for line in block:gmatch '[^\n]+' do lines[#lines + 1] = line end
  local add = add_paragraph
  if block:find '^usage: ' then add = add_usage
  elseif block:find '^  %-%-' then add = add_options
  elseif block:find '^  ' then add = add_literal end
  add(lines, out)
end

local HEAD = [[
.\" Made by: ccrelay help --man
.TH CCRELAY 1 "" "ccrelay %s" "User Commands"
.SH NAME
ccrelay \- scriptable relay for clients of the Anthropic Messages API
.SH SYNOPSIS
.B ccrelay
.I COMMAND
.RI [ OPTIONS ]
.SH DESCRIPTION
ccrelay stands between Claude Code, or any client of the Anthropic Messages API, and LLM providers.
It pools keys, stays within their limits, maps model names, and fails over to another provider before the client has
seen a byte.
Policies written in Lua choose the provider of each request.
.SH COMMANDS]]

local TAIL = [[
.SH EXIT STATUS
.TP
.B 0
ended as asked
.TP
.B 1
failure
.TP
.B 64
wrong use of the command line
.TP
.B 69
address in use, or a needed program is missing
.TP
.B 78
fault in the configuration
.SH SEE ALSO
README.md and OPERATIONS.md in the folder of the documentation.
]]

--- Returns the manual page.
---@param nodes ccrelay.CommandNode[]
---@param version string
---@return string
function M.page(nodes, version)
  local out = { HEAD:format(version) }
  for _, node in ipairs(nodes) do
    if node.usage then
      out[#out + 1] = '.SS ' .. escaped(node.path:sub(2)) .. '\n' .. escaped(node.summary) .. '.'
      for block in (node.usage .. '\n\n'):gmatch '(.-)\n\n+' do
        if block ~= '' then add_block(block, out) end
      end
    end
  end
  return table.concat(out, '\n') .. '\n' .. TAIL
end

return M
