-- SPDX-License-Identifier: Apache-2.0
-- Composes what the dashboard and ccrelay top show, as a table for JSON without secrets: at most once a second, for all
-- viewers together.
local C = require 'ccrelay.c'
local each = require 'ccrelay.util.each'
local history = require 'ccrelay.server.feed.history'
local json = require 'ccrelay.util.json'
local overview = require 'ccrelay.health.overview'
local processes = require 'ccrelay.server.feed.processes'
local recent = require 'ccrelay.server.feed.recent'
local records = require 'ccrelay.log.records'
local status = require 'ccrelay.server.admin.status'

---@class ccrelay.Snapshots
---@field history ccrelay.History
---@field processes ccrelay.Processes
---@field facts table? the last one
---@field at number cc_now() when it was composed
---@field told integer count of the exchanges in those before
local Snapshots = {}
Snapshots.__index = Snapshots

local M = {}

local MOST_NEW = 50 -- exchanges in a snapshot: of a busy second the latest
local MOST_OPEN, LONG_MS = 50, 1000
local AGE_MS = 900    -- all who look within this time get the same
local PAUSE_MS = 10000 -- when nobody has looked for so long, what processes use is measured from now on

---@return ccrelay.Snapshots
function M.new()
  return setmetatable({ history = history.new(), processes = processes.new(), told = 0 }, Snapshots)
end

local function shown_tokens(tokens)
  return tokens and {
    input = tokens.input, output = tokens.output, cache_read = tokens.cache_read,
    cache_write = tokens.cache_write_5m + tokens.cache_write_1h,
  }
end

local function shown_attempts(record)
  local list = json.array {}
  for index, attempt in ipairs(record.attempts) do
    list[index] = {
      key = attempt.key, model = attempt.model, at_ms = attempt.at_ms, total_ms = attempt.total_ms,
      status = attempt.status, error = attempt.error, detail = attempt.detail, raced = attempt.raced or nil,
    }
  end
  return list
end

local function shown_left_out(record)
  local list = json.array {}
  for _, candidate in ipairs(record.candidates) do
    if candidate.reason then list[#list + 1] = { key = candidate.key, reason = candidate.reason } end
  end
  return list
end

--- Returns what is shown of an exchange.
---@param record ccrelay.Record
---@return table
function M.exchange(record)
  return {
    id = record.id, at = math.floor(record.at), client = record.client, endpoint = record.endpoint,
    class = record.class, model = record.model, sent_model = record.sent_model, provider = record.provider,
    key = record.key, status = record.status, error = record.error,
    outcome = not record.open and history.outcome(record) or nil,
    switched = record.switched, queued_ms = record.queued_ms, total_ms = record.total_ms,
    first_byte_ms = record.first_byte_ms, tokens = shown_tokens(record.tokens), cost = record.cost,
    attempts = shown_attempts(record), left_out = shown_left_out(record),
  }
end

local function exchanges(list)
  local shown = json.array {}
  for index, record in ipairs(list) do shown[index] = M.exchange(record) end
  return shown
end

function Snapshots:providers(generation)
  local list, lately = json.array(overview.describe(generation)), self.history.recent
  for _, provider in ipairs(list) do
    provider.lately = lately:attempts(provider.provider)
    provider.lately.first_event_ms = lately:first_event(provider.provider)
    for _, key in ipairs(provider.keys) do key.lately = lately:attempts(key.id) end
  end
  return list
end

local function relay(master)
  local whole = status.of(master)
  local open = 0
  for _, worker in ipairs(whole.workers) do open = open + worker.exchanges end
  return {
    version = whole.version, uptime_ms = whole.uptime_ms, listen = whole.listen, policy = whole.policy,
    policy_aside = whole.policy_aside, configuration = whole.configuration, generation = whole.generation,
    reloads = whole.reloads, restarts = whole.restarts, draining = whole.draining, log_dropped = whole.log_dropped,
    open = open,
  }
end

-- The exchanges that have been under way for a while, oldest first: those that end at once would only flicker.
local function under_way(now)
  local list = {}
  for _, record in ipairs(records.open()) do
    if #list < MOST_OPEN and now - record.at >= LONG_MS then list[#list + 1] = record end
  end
  return exchanges(list)
end

local function facts(self, master)
  local now = C.cc_time()
  self.history:update(now)
  local used = self.processes:describe(master)
  return {
    at = math.floor(now), window_ms = recent.WINDOW_MS, relay = relay(master),
    rate = math.floor(self.history.recent:rate(now) * 10 + 0.5) / 10,
    providers = self:providers(master.generation), workers = used.workers,
    helpers = used.helpers, master = used.master,
    records = { most = (records.kept()) }, under_way = under_way(now),
  }
end

-- The state of the relay, at most AGE_MS old.
local function fresh(self, master)
  local now = C.cc_now()
  local age = self.facts and now - self.at or math.huge
  if age < AGE_MS then return self.facts end
  if age > PAUSE_MS then self.processes:forget() end
  self.facts, self.at = facts(self, master), now
  return self.facts
end

local function with(state, more)
  local whole = {}
  for _, part in ipairs { state, more } do
    for name, value in each(part) do whole[name] = value end
  end
  return whole
end

--- Returns the state of the relay with the exchanges and rows of history that are new since the last call.
---@param master ccrelay.Master
---@return table
function Snapshots:news(master)
  local state, lately = fresh(self, master), self.history.recent
  local new = math.min(lately.count - self.told, MOST_NEW)
  self.told = lately.count
  return with(state, {
    exchanges = exchanges(lately:last(new)),
    fine = json.array(self.history:changes 'fine'), coarse = json.array(self.history:changes 'coarse'),
  })
end

--- Returns the state of the relay with the latest exchanges.
---@param master ccrelay.Master
---@return table
function Snapshots:whole(master)
  local state = fresh(self, master)
  return with(state, { exchanges = exchanges(self.history.recent:last(MOST_NEW)) })
end

local function series(self, name)
  local step_ms, count = history.step(name)
  return { step_ms = step_ms, count = count, rows = json.array(self.history:rows(name)) }
end

--- Returns the state of the relay with the latest exchanges and all rows of history, for a new viewer.
---@param master ccrelay.Master
---@return table
function Snapshots:past(master)
  return with(self:whole(master), { fine = series(self, 'fine'), coarse = series(self, 'coarse') })
end

return M
