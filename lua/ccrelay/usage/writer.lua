-- SPDX-License-Identifier: Apache-2.0
-- The helper that writes usage and spending to the database in server.state_dir (process/helpers.lua runs it).
local store = require 'ccrelay.usage.store'

local M = { name = 'usage' }

local WRITE_MS = 150
local FILE = 'usage.db'

--- Returns what the helper needs of a configuration.
---@param configuration table
---@return ccrelay.UsageSettings? settings nil if nothing is to be kept
function M.settings(configuration)
  local server = configuration.server
  if (server.state_dir or 'off') == 'off' then return nil end
  return { path = server.state_dir .. '/' .. FILE, days = server.usage_days }
end

--- Runs the helper in its process.
---@param link ccrelay.HelperLink
function M.run(link)
  local settings, told = link.settings, nil
  local kept = store.new(settings, function(level, text) link.logger:say(level, text) end)
  local function tell()
    if told == (kept.fault or false) then return end
    told = kept.fault or false
    link:tell { file = link.settings.path, fault = kept.fault }
  end
  kept:open()
  tell()
  link:ready()
  link:loop(WRITE_MS, function()
    if link.settings ~= settings then
      settings = link.settings
      kept:configure(settings)
      told = nil
    end
    kept:tick()
    tell()
  end, function(question) return kept:answer(question) end)
  kept:close()
end

return M
