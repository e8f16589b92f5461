-- SPDX-License-Identifier: Apache-2.0
-- A stand-in for the master, with what the pages of the admin listener use.
local json = require 'ccrelay.util.json'
local stage = require 'support.stage'

---@param token string? of the admin listener
---@param metrics boolean? whether they are enabled; nil: they are
---@return table master
return function(token, metrics)
  local current = stage.new().current
  current.configuration.admin = { token = token or '' }
  current.configuration.metrics = { enabled = metrics ~= false }
  return {
    relay = nil, generation = current, bundle = {}, options = {}, quarantine = {}, workers = 0,
    started = 0, loaded = 0, number = 3,
    reloads = 2, failed = 1, restarts = 0, history = {}, where = { '127.0.0.1:8787' },
    helpers = { describe = function() return json.array {} end },
  }
end
