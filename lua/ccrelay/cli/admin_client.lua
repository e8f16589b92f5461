-- SPDX-License-Identifier: Apache-2.0
-- Asks the admin listener of a running relay, for commands that have --config and --admin.
local address = require 'ccrelay.net.address'
local api_error = require 'ccrelay.util.api_error'
local config_loader = require 'ccrelay.cli.config_loader'
local fetch = require 'ccrelay.net.fetch'
local json = require 'ccrelay.util.json'
local options = require 'ccrelay.cli.options'
local task = require 'ccrelay.sched.task'

local M = {}

local TIMEOUT_MS, ANSWER_BYTES = 5000, 16 * 1024 * 1024

---@class ccrelay.AdminAddress
---@field host string
---@field port integer
---@field token string

--- Sends one request.
---@param admin ccrelay.AdminAddress
---@param path string
---@return integer? status nil when there is no answer
---@return string body or what went wrong
function M.send(admin, path)
  return task.run_alone(function()
    local answer, message = fetch.send {
      url = address.text { scheme = 'http', host = admin.host, port = admin.port, path = path },
      headers = { Authorization = admin.token ~= '' and 'Bearer ' .. admin.token or nil }, direct = true,
      timeout_ms = TIMEOUT_MS, answer_bytes = ANSWER_BYTES,
    }
    return answer and answer.status, answer and answer.body or message
  end)
end

--- Finds the admin listener. Reads only the section admin of the configuration.
---@param command string its name, for messages
---@param values table<string, any> its options
---@return ccrelay.AdminAddress? admin nil: a message was printed
---@return integer? code exit code
function M.find(command, values)
  local configuration = config_loader.load(values, { only = { 'admin' } })
  if not configuration then return nil, options.codes.configuration end
  local where = address.listen(values.admin or configuration.admin.listen)
  if not where or not where.host then
    return nil, options.misuse(command, 'there is no admin address; expected host:port')
  end
  return { host = where.host, port = where.port, token = configuration.admin.token }
end

--- Asks for a page.
---@param command string its name, for messages
---@param values table<string, any> its options
---@param path string
---@return integer? status nil when there is no answer: a message was printed
---@return string|integer body_or_code the body; without a status the exit code
---@return string? where host and port that answered
function M.ask(command, values, path)
  local admin, code = M.find(command, values)
  if not admin then return nil, code end
  local status, body = M.send(admin, path)
  if status then return status, body, admin.host .. ':' .. admin.port end
  io.stderr:write('ccrelay ', command, ': ', body, '\n')
  return nil, options.codes.unavailable
end

--- Prints lines for a person. Names that clients and providers chose cannot control the terminal.
---@param lines string[]
function M.print(lines)
  for _, line in ipairs(lines) do io.stdout:write(json.plain(line), '\n') end
end

--- Prints the message of an error that the relay answered.
---@param command string its name
---@param body string
function M.complain(command, body)
  local message = api_error.message_of(json.decode(body), body)
  io.stderr:write('ccrelay ', command, ': ', json.plain(message), '\n')
end

return M
