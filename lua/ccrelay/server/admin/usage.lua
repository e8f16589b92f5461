-- SPDX-License-Identifier: Apache-2.0
-- GET /usage of the admin listener: requests, tokens and cost by day, client, model and so on. The helper that writes
-- the database answers, so that the master does not wait for the disk.
local C = require 'ccrelay.c'
local query = require 'ccrelay.usage.query'
local texts = require 'ccrelay.util.text'

local M = { later = true }

local HELPER = 'usage'

local function parameters_of(text)
  local parameters = {}
  for name, value in string.gmatch(text, '([^&=]+)=([^&]*)') do
    parameters[texts.unescape(name)] = texts.unescape((string.gsub(value, '%+', ' ')))
  end
  return parameters
end

---@param master ccrelay.Master
---@param request ccrelay.AdminRequest
function M.answer(master, request)
  local question, message = query.parse(parameters_of(request.query), C.cc_time())
  if not question then return request.reply(nil, 400, message) end
  if (master.generation.configuration.server.state_dir or 'off') == 'off' then
    return request.reply(nil, 404, 'usage is not kept: set server.state_dir')
  end
  master.helpers:ask(master, HELPER, question, function(body, why)
    request.reply(body, 503, why)
  end)
end

return M
