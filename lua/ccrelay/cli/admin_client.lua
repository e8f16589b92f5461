-- SPDX-License-Identifier: Apache-2.0
-- Asks the admin listener of a running relay, for commands that have --config and --admin.
local address = require 'ccrelay.net.address'
local config_loader = require 'ccrelay.cli.config_loader'
local fetch = require 'ccrelay.net.fetch'
local options = require 'ccrelay.cli.options'
local task = require 'ccrelay.sched.task'

local M = {}

local TIMEOUT_MS, ANSWER_BYTES = 5000, 16 * 1024 * 1024

local function send(where, token, path)
  return task.run_alone(function()
    local answer, message = fetch.send {
      url = address.text { scheme = 'http', host = where.host, port = where.port, path = path },
      headers = { Authorization = token ~= '' and 'Bearer ' .. token or nil }, direct = true,
      timeout_ms = TIMEOUT_MS, answer_bytes = ANSWER_BYTES,
    }
    return answer and answer.status, answer and answer.body or message
  end)
end

--- Asks for a page. Of the configuration only the section admin is read.
---@param command string its name, for messages
---@param values table<string, any> its options
---@param path string
---@return integer? status nil when there is no answer: a message was printed
---@return string|integer body_or_code the body; without a status the exit code
---@return string? where host and port that answered
function M.ask(command, values, path)
  local configuration = config_loader.load(values, { only = { 'admin' } })
  if not configuration then return nil, options.codes.configuration end
  local where = address.listen(values.admin or configuration.admin.listen)
  if not where or not where.host then
    return nil, options.misuse(command, 'there is no admin address; expected host:port')
  end
  local status, body = send(where, configuration.admin.token, path)
  if status then return status, body, where.host .. ':' .. where.port end
  io.stderr:write('ccrelay ', command, ': ', body, '\n')
  return nil, options.codes.unavailable
end

return M
