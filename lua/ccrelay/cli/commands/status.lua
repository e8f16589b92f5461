-- SPDX-License-Identifier: Apache-2.0
-- ccrelay status: asks the admin listener of a running relay for /status and prints it.
local admin_client = require 'ccrelay.cli.admin_client'
local json = require 'ccrelay.util.json'
local options = require 'ccrelay.cli.options'
local texts = require 'ccrelay.util.text'

local M = {}

M.summary = 'show the status of a running relay'
M.usage = [[
usage: ccrelay status [--config F] [--admin ADDRESS] [--format text|json]

Asks the admin listener of a running relay. Of the configuration only the section admin is read, so
variables in other sections need not be set.

  --config F               the configuration; else the first file found, see ccrelay help config
  --admin ADDRESS          host:port of the admin listener, instead of admin.listen
  --format json            everything, for programs
  --insecure-permissions   accept a file that others can write to
]]

M.options = {
  { name = 'config', type = 'text' },
  { name = 'admin', type = 'text' },
  { name = 'format', type = 'choice', of = { 'text', 'json' } },
  { name = 'insecure-permissions', type = 'flag' },
}

local function seconds(milliseconds)
  return ('%d s'):format(milliseconds / 1000)
end

local function credentials_line(state)
  local what = not state.valid and 'none yet' or state.valid_for_ms and 'valid for ' .. seconds(state.valid_for_ms)
    or 'valid'
  local failed = state.failures > 0 and ', failed ' .. texts.count(state.failures, 'time') or ''
  return ('  credentials  %s%s'):format(what, failed)
end

local function probe_text(probe)
  if not probe then return '' end
  return (', probed %s ago: %s'):format(seconds(probe.ago_ms), probe.reason or 'it accepts connections')
end

local function helper_line(helper)
  local fault = helper.state and helper.state.fault
  return ('helper %-7s pid %d, up %s%s'):format(helper.name, helper.pid, seconds(helper.uptime_ms),
    fault and ', FAULT: ' .. fault or '')
end

local function add_fault(out, fault)
  local title = 'last fault     '
  for line in string.gmatch(fault, '[^\n]+') do
    out[#out + 1], title = title .. line, string.rep(' ', #title)
  end
end

local function lines_of(status)
  local out = {
    ('ccrelay %s, pid %d, up %s'):format(status.version, status.pid, seconds(status.uptime_ms)),
    ('listening on   %s'):format(table.concat(status.listen, ', ')),
    ('configuration  %s'):format(status.configuration),
    ('policy         %s'):format(status.policy),
    ('generation     %d (%s, %d refused)'):format(status.generation.number,
      texts.count(status.reloads.done, 'reload'), status.reloads.refused),
  }
  local aside = status.policy_aside
  if aside then
    table.insert(out, 5, ('  PUT ASIDE    %s serves instead, until it is changed: %s'):format(aside.instead, aside.why))
  end
  add_fault(out, status.reloads.fault or '')
  for _, worker in ipairs(status.workers) do
    out[#out + 1] = ('worker %d       pid %d, %d open, up %s'):format(worker.slot, worker.pid, worker.exchanges,
      seconds(worker.uptime_ms))
  end
  for _, helper in ipairs(status.helpers or {}) do out[#out + 1] = helper_line(helper) end
  for _, provider in ipairs(status.providers) do
    out[#out + 1] = ('provider       %s (%s), circuit %s%s'):format(provider.provider, provider.type,
      provider.breaker, probe_text(provider.probe))
    for _, key in ipairs(provider.keys) do
      local wait = key.ready_in_ms and key.ready_in_ms > 0 and ', ready in ' .. seconds(key.ready_in_ms + 999) or ''
      out[#out + 1] = ('  key          %s: %s%s'):format(key.id, key.state, wait)
    end
    if provider.credentials then out[#out + 1] = credentials_line(provider.credentials) end
  end
  return out
end

function M.run(arguments)
  local values, rest = options.parse(arguments, M.options, 0)
  if not values then return options.misuse('status', rest) end
  local status, body, where = admin_client.ask('status', values, '/status')
  if not status then return body end
  if status ~= 200 then
    io.stderr:write(('ccrelay status: %s answered %d: %s\n'):format(where, status, json.plain(body)))
    return options.codes.unavailable
  end
  admin_client.print(values.format == 'json' and { body } or lines_of(json.decode(body)))
  return options.codes.ok
end

return M
