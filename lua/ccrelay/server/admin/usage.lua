-- SPDX-License-Identifier: Apache-2.0
-- GET /usage of the admin listener: requests, tokens and cost by day, client, model and so on. The helper that writes
-- the database answers, so that the master does not wait for the disk. GET /usage/budgets: what has been spent of each
-- budget.
local C = require 'ccrelay.c'
local budget = require 'ccrelay.limits.budget'
local json = require 'ccrelay.util.json'
local query = require 'ccrelay.usage.query'
local texts = require 'ccrelay.util.text'

local M = { later = true, below = true }

local HELPER = 'usage'

local function budgets_of(configuration)
  local list = json.array {}
  for index, one in ipairs(budget.all(configuration)) do
    local period = budget.period(one)
    list[index] = { kind = one.kind, name = one.name, period = period.name, amount = one.amount,
      spent = budget.spent_of(one), resets_at = os.date('!%Y-%m-%dT%H:%M:%SZ', math.floor(period.ends / 1000)) }
  end
  return { budgets = list }
end

---@param master ccrelay.Master
---@param request ccrelay.AdminRequest
function M.answer(master, request)
  local configuration = master.generation.configuration
  if request.rest == 'budgets' then return request.reply(json.encode(budgets_of(configuration))) end
  if request.rest ~= '' then return request.reply(nil, 404, 'below /usage there is only /usage/budgets') end
  local question, message = query.parse(texts.parameters(request.query), C.cc_time())
  if not question then return request.reply(nil, 400, message) end
  if (configuration.server.state_dir or 'off') == 'off' then
    return request.reply(nil, 404, 'usage is not kept: set server.state_dir')
  end
  master.helpers:ask(master, HELPER, question, function(body, why)
    request.reply(body, 503, why)
  end)
end

return M
