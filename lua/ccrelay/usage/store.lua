-- SPDX-License-Identifier: Apache-2.0
-- Keeps usage and spending in a database file. It guarantees that a missing, damaged or full file is reported, that
-- nothing waits for it but its own process, and that it is used again as soon as that is possible.
local C = require 'ccrelay.c'
local database = require 'ccrelay.usage.database'
local json = require 'ccrelay.util.json'
local logger = require 'ccrelay.log.logger'
local query = require 'ccrelay.usage.query'
local rows = require 'ccrelay.usage.rows'
local spending = require 'ccrelay.usage.spending'
local tables = require 'ccrelay.usage.tables'

---@class ccrelay.UsageSettings
---@field path string of the database
---@field days integer that it keeps

---@class ccrelay.Store
---@field settings ccrelay.UsageSettings
---@field say fun(level: string, text: string)
---@field database ccrelay.Database? nil while it cannot be used
---@field fault string? why it cannot be used
---@field looked number cc_now() at the last look at the file
---@field pruned number cc_time() until which nothing has to be deleted
---@field spending ccrelay.Spending
---@field rows ccrelay.UsageRows
local Store = {}
Store.__index = Store

local M = {}

local LOOK_MS = 1000 -- between two looks at the file: whether it is there, whether it can be opened
local ANSWER_MS = 500 -- a question may take: nothing is written meanwhile
local DAY = 86400000
local PARTS = { '', '-wal', '-shm' } -- the files of a database

---@param settings ccrelay.UsageSettings
---@param say fun(level: string, text: string) writes a log line
---@return ccrelay.Store
function M.new(settings, say)
  return setmetatable({
    settings = settings, say = say, looked = -math.huge, pruned = 0, spending = spending.new(),
    rows = rows.new(say),
  }, Store)
end

-- A fault is logged when it is new, not each time that it shows.
local function note(self, fault)
  if fault == self.fault then return end
  self.fault = fault
  self.say('error', ('usage: %s cannot be used, requests go on without it: %s'):format(self.settings.path, fault))
end

local function close(self)
  if self.database then self.database:close() end
  self.database = nil
  self.spending:forget()
end

-- Moves a damaged file away, for somebody to look at.
local function set_aside(self, why)
  close(self)
  local path = self.settings.path
  local aside = ('%s.damaged-%s'):format(path, (string.gsub(logger.stamp(C.cc_time()), '[-:]', '')))
  for _, part in ipairs(PARTS) do os.rename(path .. part, aside .. part) end
  self.say('error', ('usage: %s is damaged (%s): it is now %s, and a new one is begun'):format(path, why, aside))
end

local function prune(self)
  local before = C.cc_time() - self.settings.days * DAY
  self.database:transaction(function()
    spending.prune(self.database, before)
    rows.prune(self.database, before)
  end)
  self.pruned = C.cc_time() + DAY
end

local function prepare(self)
  local refusal = tables.migrate(self.database)
  if refusal then error({ message = refusal }, 0) end
  prune(self)
  local restored = spending.restore(self.database)
  self.rows:begin(self.database)
  if self.fault then
    self.say('info', ('usage: %s is in use again%s'):format(self.settings.path,
      restored and '; what was spent before this start counts from now on' or ''))
  end
  self.fault = nil
end

local function trouble(self, fault)
  if type(fault) ~= 'table' then error(fault, 0) end
  if fault.code == C.CC_EDAMAGED then return set_aside(self, fault.message) end
  close(self)
  note(self, fault.message)
end

local function open_once(self)
  local opened, fault = database.open(self.settings.path)
  if not opened then
    local is_taken = fault.code == C.CC_EINUSE
    if is_taken then fault.message = 'another relay uses it' end
    return trouble(self, fault)
  end
  self.database = opened
  local ok, thrown = pcall(prepare, self)
  if not ok then trouble(self, thrown) end
end

--- Opens the database if it is not open. A damaged one is replaced at once.
function Store:open()
  self.looked = C.cc_now()
  open_once(self)
  if not self.database and not self.fault then open_once(self) end
end

local function look(self)
  if C.cc_now() - self.looked < LOOK_MS then return end
  self.looked = C.cc_now()
  if not self.database then return self:open() end
  if not self.database:in_place() then
    self.say('error', ('usage: %s has been removed or replaced: it is opened anew'):format(self.settings.path))
    close(self)
    self:open()
  elseif C.cc_time() >= self.pruned then
    prune(self)
  end
end

local function write(self)
  local changes, batch = self.spending:changes(), self.rows:read()
  if #changes == 0 and not batch then return end
  self.database:transaction(function()
    spending.write(self.database, changes)
    if batch then rows.write(self.database, batch) end
  end)
  spending.written(changes)
  if batch then self.rows:written(batch) end
end

--- Writes what is new. To be called every 100 to 200 ms.
function Store:tick()
  local ok, fault = pcall(look, self)
  if ok and self.database then ok, fault = pcall(write, self) end
  if not ok then trouble(self, fault) end
end

--- Answers a question about usage.
---@param question ccrelay.UsageQuestion
---@return string? json
---@return string? why there is no answer
function Store:answer(question)
  if not self.database then return nil, ('%s cannot be used: %s'):format(self.settings.path, self.fault or '?') end
  local ok, answer = pcall(self.database.within, self.database, ANSWER_MS, query.answer, self.database, question)
  if ok then return json.encode(answer) end
  if answer.code == C.CC_ETOTAL_TIMEOUT then return nil, 'this takes too long: ask for fewer days' end
  trouble(self, answer)
  return nil, answer.message
end

--- Puts changed settings in force.
---@param settings ccrelay.UsageSettings
function Store:configure(settings)
  local moved = settings.path ~= self.settings.path
  self.settings, self.pruned = settings, 0
  if not moved then return end
  close(self)
  self:open()
end

--- Closes the database.
function Store:close()
  close(self)
end

return M
