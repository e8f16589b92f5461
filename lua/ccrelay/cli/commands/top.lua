-- SPDX-License-Identifier: Apache-2.0
-- ccrelay top: shows what a running relay does, in a terminal, drawn anew each second.
local admin_client = require 'ccrelay.cli.admin_client'
local api_error = require 'ccrelay.util.api_error'
local json = require 'ccrelay.util.json'
local options = require 'ccrelay.cli.options'
local top_view = require 'ccrelay.cli.top_view'

local M = {}

M.summary = 'watch a running relay'
M.usage = [[
usage: ccrelay top [--config F] [--admin ADDRESS] [--once] [--json]

Shows providers and keys, processes, exchanges under way and the latest exchanges of a running relay,
updated each second, like the dashboard at / of the admin listener. q quits. If the output is not a
terminal, it is printed once. Errors and times to the first event are of the last five minutes.

  --config F               the configuration; else the first file found, see ccrelay help config
  --admin ADDRESS          host:port of the admin listener, instead of admin.listen
  --once                   print it once
  --json                   with --once: everything, for programs
  --insecure-permissions   accept a file that others can write to

NO_COLOR in the environment turns colours off; there are none unless the output is a terminal.
]]

M.options = {
  { name = 'config', type = 'text' },
  { name = 'admin', type = 'text' },
  { name = 'once', type = 'flag' },
  { name = 'json', type = 'flag' },
  { name = 'insecure-permissions', type = 'flag' },
}

local PATH = '/events?once'
local COLUMNS, ROWS = 80, 24
local ENTER, LEAVE = '\27[?1049h\27[?25l', '\27[?25h\27[?1049l' -- the alternate screen, without a cursor
local HOME, REST_OF_LINE, REST = '\27[H', '\27[K', '\27[J'
-- Keys arrive at once and are not shown; reading ends after a second without one.
local RAW = 'stty -icanon -echo -isig min 0 time 10'
local QUIT = { q = true, Q = true, ['\3'] = true }

local function output_of(command)
  local pipe = io.popen(command .. ' 2>/dev/null')
  local text = pipe:read '*l'
  pipe:close()
  return text or ''
end

-- The snapshot; nil and what went wrong.
local function snapshot(admin)
  local status, body = admin_client.send(admin, PATH)
  if status == 200 then return json.decode(body), nil, body end
  return nil, status and ('status %d: %s'):format(status, api_error.message_of(json.decode(body), body)) or body
end

local function once(admin, values)
  local state, message, body = snapshot(admin)
  if not state then
    io.stderr:write(('ccrelay top: %s:%d: %s\n'):format(admin.host, admin.port, top_view.plain(message)))
    return options.codes.unavailable
  end
  local lines = values.json and { body } or top_view.lines(state, { columns = COLUMNS })
  io.stdout:write(table.concat(lines, '\n'), '\n')
  return options.codes.ok
end

local function draw(admin, has_colours)
  local rows, columns = string.match(output_of 'stty size', '^(%d+) (%d+)$')
  rows, columns = tonumber(rows) or ROWS, tonumber(columns) or COLUMNS
  local state, message = snapshot(admin)
  local lines = state and top_view.lines(state, { columns = columns, has_colours = has_colours })
    or { ('no answer from %s:%d: %s'):format(admin.host, admin.port, top_view.plain(message)) }
  for row = #lines, rows, -1 do lines[row] = nil end
  io.stdout:write(HOME, table.concat(lines, REST_OF_LINE .. '\n'), REST_OF_LINE, REST)
  io.stdout:flush()
end

local function watch(admin, has_colours)
  repeat
    draw(admin, has_colours)
    local key = io.stdin:read(1)
  until key and QUIT[key]
end

local function interactive(admin)
  local colours = os.getenv 'NO_COLOR'
  local before = output_of 'stty -g'
  os.execute(RAW)
  io.stdout:write(ENTER)
  local ok, message = xpcall(watch, debug.traceback, admin, not colours or colours == '')
  io.stdout:write(LEAVE)
  io.stdout:flush()
  os.execute('stty ' .. before)
  if not ok then error(message, 0) end
  return options.codes.ok
end

local function is_terminal()
  return os.execute 'test -t 0' == 0 and os.execute 'test -t 1' == 0
end

function M.run(arguments)
  local values, rest = options.parse(arguments, M.options, 0)
  if not values then return options.misuse('top', rest) end
  if values.json and not values.once then return options.misuse('top', '--json needs --once') end
  local admin, code = admin_client.find('top', values)
  if not admin then return code end
  if values.once or not is_terminal() then return once(admin, values) end
  return interactive(admin)
end

return M
