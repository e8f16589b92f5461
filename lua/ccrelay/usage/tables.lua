-- SPDX-License-Identifier: Apache-2.0
-- The tables of the usage database. A new version adds a step at the end of STEPS and never changes one that is there:
-- a database of an older version gets the steps that it lacks, in one transaction.
local M = {}

-- Amounts of spent are millionths of the currency of routing.prices, times are milliseconds since 1970. A text that is
-- not known is empty.
local STEPS = {
  [[
    CREATE TABLE spent (
      account TEXT NOT NULL,   -- a budget: limits/accounts.lua
      begins INTEGER NOT NULL, -- of its day, week or month
      amount INTEGER NOT NULL,
      PRIMARY KEY (account, begins)
    ) WITHOUT ROWID;
    CREATE TABLE usage (
      day TEXT NOT NULL, client TEXT NOT NULL, client_group TEXT NOT NULL, provider TEXT NOT NULL, key TEXT NOT NULL,
      model TEXT NOT NULL,      -- that the client asked for
      sent_model TEXT NOT NULL,
      tier TEXT NOT NULL,       -- 'priority', 'batch' or ''
      speed TEXT NOT NULL,      -- 'fast' or ''
      requests INTEGER NOT NULL, errors INTEGER NOT NULL,
      input INTEGER NOT NULL, output INTEGER NOT NULL, cache_read INTEGER NOT NULL,
      cache_write_5m INTEGER NOT NULL, cache_write_1h INTEGER NOT NULL,
      cost REAL NOT NULL,       -- of the requests whose cost is known
      cost_unknown INTEGER NOT NULL, -- requests whose cost is not known
      PRIMARY KEY (day, client, client_group, provider, key, model, sent_model, tier, speed)
    ) WITHOUT ROWID;
    CREATE TABLE progress (relay INTEGER PRIMARY KEY, next INTEGER NOT NULL); -- of reading its records
  ]],
}

local function version_of(database)
  return database:rows('n', 'PRAGMA user_version')[1][1]
end

--- Brings a database to the version of this program.
---@param database ccrelay.Database
---@return string? refusal why it cannot be used
function M.migrate(database)
  local version = version_of(database)
  if version > #STEPS then
    return ('a newer ccrelay has upgraded it to version %d; this one knows %d'):format(version, #STEPS)
  end
  if version == #STEPS then return nil end
  database:transaction(function()
    for step = version + 1, #STEPS do database:run(STEPS[step]) end
    database:run(('PRAGMA user_version = %d'):format(#STEPS))
  end)
  return nil
end

return M
