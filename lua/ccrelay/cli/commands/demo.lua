-- SPDX-License-Identifier: Apache-2.0
-- ccrelay demo: runs a relay over two mock providers, for a first try without keys and network.
local C = require 'ccrelay.c'
local cell = require 'ccrelay.shared.cell'
local config = require 'ccrelay.config'
local options = require 'ccrelay.cli.options'
local run = require 'ccrelay.cli.commands.run'

local M = {}

M.summary = 'run a relay with two mock providers, one of which often fails'
M.usage = [[
usage: ccrelay demo [--listen ADDRESS]

Starts two mock providers, on 127.0.0.1:8791 and 127.0.0.1:8792, and a relay in front of them. The
first provider fails two of three requests; the log shows how the second serves these.
Needs no key and no network. Ctrl-C stops everything.

  --listen ADDRESS         address of the relay (default 127.0.0.1:8787)
]]

M.options = { { name = 'listen', type = 'text' } }

local MOCKS = {
  { listen = '127.0.0.1:8791', schedule = 'status=529 | | status=429;retry-after=1' },
  { listen = '127.0.0.1:8792', schedule = '' },
}

local function start_mock(mock)
  local pid = C.cc_child()
  if pid ~= 0 then return pid end
  cell.of_policy('mock schedule'):write(mock.schedule)
  os.exit(run.start {
    data = {
      server = { listen = mock.listen, workers = 1 },
      providers = { { name = 'none', type = 'anthropic' } },
      admin = { listen = 'off' },
      logging = { level = 'warn' },
    },
    policy = config.root() .. '/examples/mock.lua',
    watch = true,
    insecure = true,
  })
end

local function provider(number, priority)
  return {
    name = 'mock-' .. number,
    type = 'anthropic',
    base_url = 'http://' .. MOCKS[number].listen,
    transparent = false,
    keys = { { key = 'demo-key-' .. number, priority = priority } },
  }
end

local function tell(listen)
  io.stderr:write(([[

Try this several times; the log below shows which provider answered:

  curl http://%s/v1/messages -H 'content-type: application/json' -H 'anthropic-version: 2023-06-01' \
    -d '{"model":"claude-demo","max_tokens":100,"stream":true,"messages":[{"role":"user","content":"Hello"}]}'

or with Claude Code:

  ANTHROPIC_BASE_URL=http://%s ANTHROPIC_API_KEY=demo claude

]]):format(listen, listen))
end

function M.run(arguments)
  local values, rest = options.parse(arguments, M.options, 0)
  if not values then return options.misuse('demo', rest) end
  local listen = values.listen or '127.0.0.1:8787'
  for _, mock in ipairs(MOCKS) do
    if start_mock(mock) < 0 then return options.codes.failure end
  end
  tell(listen)
  return run.start {
    data = {
      server = { listen = listen, workers = 1 },
      providers = { provider(1, 2), provider(2, 1) },
    },
    watch = true,
    insecure = true,
  }
end

return M
