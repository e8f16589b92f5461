-- SPDX-License-Identifier: Apache-2.0
-- Providers that answer with 529, for specs that simulate long overloads. Garbage is collected less often in them: they
-- are short of time, not of memory.
local stage = require 'support.stage'

collectgarbage('setpause', 400)

local M = {}

M.OVERLOADED = { status = 529, body = '{"type":"error","error":{"type":"overloaded_error","message":"o"}}' }
M.GOOD = { status = 200 }

--- Returns a provider with one key for the configuration.
---@param name string
---@param priority integer?
---@return table
function M.provider(name, priority)
  return { name = name, type = 'anthropic', keys = { { key = 'sk-' .. name, priority = priority } } }
end

--- Sends 20 requests a second for 10 minutes, and returns the share that fails for the client.
---@param providers table[] of the configuration
---@param every integer each of them answers every such request with 529
---@return number
function M.share_of_failures(providers, every)
  local self = stage.new { providers = providers }
  local counts = {}
  for _, one in ipairs(providers) do
    local host = one.name .. '.test'
    self.replies[host] = { function()
      counts[host] = (counts[host] or 0) + 1
      return counts[host] % every == 0 and M.OVERLOADED or M.GOOD
    end }
  end
  local failed = 0
  for part = 0, 3 do
    local list = {}
    for number = 0, 2999 do list[#list + 1] = { at = number * 50, body = { x = part * 3000 + number } } end
    for _, exchange in ipairs { self:requests(unpack(list)) } do
      if exchange.answer.status ~= 200 then failed = failed + 1 end
    end
  end
  return failed / 12000
end

return M
