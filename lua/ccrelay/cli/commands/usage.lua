-- SPDX-License-Identifier: Apache-2.0
-- ccrelay usage: asks a running relay for /usage and prints it as a table.
local admin_client = require 'ccrelay.cli.admin_client'
local json = require 'ccrelay.util.json'
local options = require 'ccrelay.cli.options'
local texts = require 'ccrelay.util.text'
local usage_table = require 'ccrelay.cli.usage_table'

local M = {}

M.summary = 'show requests, tokens and cost of a running relay'
M.usage = [[
usage: ccrelay usage [--by NAMES] [--from DAY] [--to DAY] [--client NAME] [--group NAME] [--provider NAME]
                     [--key ID] [--model NAME] [--config F] [--admin ADDRESS] [--format text|json]

Shows usage by day, client, model and so on. Asks the admin listener of a running relay, which keeps usage if
server.state_dir is set. A + after a cost means that the cost of some requests is not known.

  --by NAMES               day, client, group, provider, key, model, sent_model, tier or speed, or several of them
                           with commas; default: day
  --from DAY, --to DAY     YYYY-MM-DD in UTC, both included; default: the last 30 days
  --client NAME, --group NAME, --provider NAME, --key ID, --model NAME
                           only those; a * at the end stands for any text
  --config F               the configuration; else the first file found, see ccrelay help config
  --admin ADDRESS          host:port of the admin listener, instead of admin.listen
  --format json            the answer of /usage, for programs
  --insecure-permissions   accept a file that others can write to
]]

local QUESTION = { 'by', 'from', 'to', 'client', 'group', 'provider', 'key', 'model' }

M.options = {
  { name = 'config', type = 'text' },
  { name = 'admin', type = 'text' },
  { name = 'format', type = 'choice', of = { 'text', 'json' } },
  { name = 'insecure-permissions', type = 'flag' },
}
for _, name in ipairs(QUESTION) do M.options[#M.options + 1] = { name = name, type = 'text' } end

local function query_of(values)
  local parts = {}
  for _, name in ipairs(QUESTION) do
    if values[name] then parts[#parts + 1] = name .. '=' .. texts.escape(values[name]) end
  end
  return #parts > 0 and '?' .. table.concat(parts, '&') or ''
end

function M.run(arguments)
  local values, rest = options.parse(arguments, M.options, 0)
  if not values then return options.misuse('usage', rest) end
  local status, body = admin_client.ask('usage', values, '/usage' .. query_of(values))
  if not status then return body end
  if status ~= 200 then
    admin_client.complain('usage', body)
    return status == 400 and options.codes.usage or options.codes.unavailable
  end
  admin_client.print(values.format == 'json' and { body } or usage_table.lines(json.decode(body)))
  return options.codes.ok
end

return M
