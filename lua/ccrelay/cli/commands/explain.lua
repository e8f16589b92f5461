-- SPDX-License-Identifier: Apache-2.0
-- ccrelay explain: asks a running relay for the record of an exchange and explains it in sentences.
local admin_client = require 'ccrelay.cli.admin_client'
local explanation = require 'ccrelay.cli.explanation'
local json = require 'ccrelay.util.json'
local options = require 'ccrelay.cli.options'
local texts = require 'ccrelay.util.text'

local M = {}

M.summary = 'explain one exchange of a running relay'
M.usage = [[
usage: ccrelay explain [--config F] [--admin ADDRESS] [--format text|json] REQUEST_ID

Explains why an upstream served a request, why each other candidate did not, and what the request would have cost
there. REQUEST_ID is the id in the access log, or the header request-id that the client got. Asks the admin listener
of a running relay, which keeps the latest exchanges (server.recent_exchanges).

  --config F               the configuration; else the first file found, see ccrelay help config
  --admin ADDRESS          host:port of the admin listener, instead of admin.listen
  --format json            the record, for programs
  --insecure-permissions   accept a file that others can write to
]]

M.options = {
  { name = 'config', type = 'text' },
  { name = 'admin', type = 'text' },
  { name = 'format', type = 'choice', of = { 'text', 'json' } },
  { name = 'insecure-permissions', type = 'flag' },
}

function M.run(arguments)
  local values, rest = options.parse(arguments, M.options, 1)
  if not values then return options.misuse('explain', rest) end
  if not rest[1] then return options.misuse('explain', 'a request id is missing') end
  local status, body = admin_client.ask('explain', values, '/requests/' .. texts.escape(rest[1]))
  if not status then return body end
  if status ~= 200 then
    admin_client.complain('explain', body)
    return status == 404 and options.codes.failure or options.codes.unavailable
  end
  admin_client.print(values.format == 'json' and { body } or explanation.lines(json.decode(body)))
  return options.codes.ok
end

return M
