-- SPDX-License-Identifier: Apache-2.0
-- The lines of exchanges that wait for keys, over all workers. Each exchange has a ticket, by the order in
-- which they began to wait. A worker keeps its own line for a key, and tells the others in a cell which
-- ticket is its first and what all of them will take. That holds for LEASE_MS, and the first of a line
-- renews it: a worker that has died or hangs keeps the others waiting no longer than that.
local C = require 'ccrelay.c'
local booking = require 'ccrelay.booking'
local cell = require 'ccrelay.cell'
local ffi = require 'ffi'

local M = {}

--- How long what a worker tells holds, in ms.
M.LEASE_MS = 1000

---@class ccrelay.Line the exchanges of this worker that wait for a key, those with lower tickets first
---@field slot ccrelay.Slot
---@field told integer cell of this worker: until when what it tells holds, and that as its text
---@field takes number[] requests, input and output tokens of all of them

---@class ccrelay.Queued
---@field ticket number
---@field since number when it began to wait
---@field asleep boolean whether its timer may be set
---@field takes table<string, number[]> by the name of the key it waits for

local lines = {} -- by name of the key
local own_slot, workers = 0, 1
local ahead, worker_facts = ffi.new 'struct cc_rates', ffi.new 'struct cc_worker'
local text = ffi.new 'char[192]'

--- A worker begins.
---@param slot integer of the worker
function M.attach(slot)
  own_slot, workers = slot, slot + 1
  while C.cc_worker(workers, worker_facts) == C.CC_OK do workers = workers + 1 end
end

--- A ticket, higher than all before it.
---@return number
function M.ticket()
  return C.cc_cell_add(cell.number 'queue tickets', 1)
end

local function told_by(worker, slot) return cell.number('queue ' .. worker .. ' ' .. slot.name) end

local function tell(line)
  local first, takes = line[1], line.takes
  if not first then return C.cc_cell_set(line.told, 0) end
  local words = string.format('%.0f %.3f %.0f %.0f', first.queued.ticket, takes[1], takes[2], takes[3])
  local until_ms = C.cc_now() + M.LEASE_MS
  C.cc_cell_write(line.told, words, #words)
  C.cc_cell_set(line.told, until_ms)
  C.cc_cell_set(line.slot.waited_for, until_ms)
end

local function read(worker, slot, now)
  local number = told_by(worker, slot)
  if C.cc_cell_get(number) <= now then return nil end
  local words = ffi.string(text, C.cc_cell_text(number, text, 192))
  local ticket, requests, input, output = string.match(words, '^(%S+) (%S+) (%S+) (%S+)$')
  return tonumber(ticket), tonumber(requests), tonumber(input), tonumber(output)
end

local function add(requests, input, output)
  ahead.requests = ahead.requests + requests
  ahead.input_tokens, ahead.output_tokens = ahead.input_tokens + input, ahead.output_tokens + output
end

local function round_down()
  ahead.requests = math.floor(ahead.requests)
  ahead.input_tokens, ahead.output_tokens = math.floor(ahead.input_tokens), math.floor(ahead.output_tokens)
end

--- What those who came before an exchange will take of a key: nil when nobody waits before it. Of a line with
--- some before it all counts.
---@param exchange ccrelay.Exchange
---@param slot ccrelay.Slot
---@param now number
---@return ffi.cdata*? ahead struct cc_rates, until the next call
function M.ahead(exchange, slot, now)
  local own, any = exchange.ticket or math.huge, false
  ahead.requests, ahead.input_tokens, ahead.output_tokens = 0, 0, 0
  for worker = 0, workers - 1 do
    local ticket, requests, input, output = read(worker, slot, now)
    if ticket and ticket < own then
      any = true
      add(requests, input, output)
    end
  end
  round_down()
  return any and ahead or nil
end

local function whole(rate) return rate > 0 and rate or math.huge end

-- What an exchange that waits for so many keys takes of one of them: more than a minute's worth is one.
local function share_of(exchange, slot, count)
  local input, output = booking.estimate(exchange, slot)
  local rates = slot.token_rates or { 0, 0, 0, 0 }
  input = math.min(input, whole(rates[3]), whole(rates[2]))
  output = math.min(output, whole(rates[4]), whole(rates[2]) - input)
  return { 1 / count, input / count, output / count }
end

local function line_of(slot)
  local line = lines[slot.name]
  if not line then
    line = { slot = slot, told = told_by(own_slot, slot), takes = { 0, 0, 0 } }
    lines[slot.name] = line
  end
  return line
end

local function change(line, takes, sign)
  for index, amount in ipairs(takes) do line.takes[index] = math.max(line.takes[index] + sign * amount, 0) end
end

local function enter(line, exchange, takes)
  local place = #line + 1
  while place > 1 and line[place - 1].queued.ticket > exchange.queued.ticket do place = place - 1 end
  table.insert(line, place, exchange)
  change(line, takes, 1)
  tell(line)
end

local function go(line, exchange, takes)
  for index, other in ipairs(line) do
    if other == exchange then
      table.remove(line, index)
      break
    end
  end
  change(line, takes, -1)
  tell(line)
  local first = line[1]
  if not first then
    lines[line.slot.name] = nil
  elseif first.queued.asleep then
    C.cc_exchange_timer(first.relay, first.handle, 0)
  end
end

--- An exchange waits no more; who is first behind it is woken.
---@param exchange ccrelay.Exchange
function M.leave(exchange)
  for name, takes in pairs(exchange.queued.takes) do go(lines[name], exchange, takes) end
  exchange.queued.takes = {}
end

local function waits_for(takes, slots)
  local count = 0
  for slot in pairs(slots) do
    if not takes[slot.name] then return false end
    count = count + 1
  end
  for _ in pairs(takes) do count = count - 1 end
  return count == 0
end

--- An exchange waits for these keys, whichever has room for it first, and for no others.
---@param exchange ccrelay.Exchange with .queued
---@param slots table<ccrelay.Slot, any>
function M.join(exchange, slots)
  if waits_for(exchange.queued.takes, slots) then return end
  M.leave(exchange)
  local count = 0
  for _ in pairs(slots) do count = count + 1 end
  for slot in pairs(slots) do
    local takes = share_of(exchange, slot, count)
    exchange.queued.takes[slot.name] = takes
    enter(line_of(slot), exchange, takes)
  end
end

--- Whether an exchange is the first of this worker at a key that it waits for, or who is has not been heard
--- of for LEASE_MS. Renews what is told of the lines that it is the first of.
---@param exchange ccrelay.Exchange
---@return boolean
function M.leads(exchange)
  local leads, now = false, C.cc_now()
  for name in pairs(exchange.queued.takes) do
    local line = lines[name]
    if line[1] == exchange then tell(line) end
    leads = leads or line[1] == exchange or C.cc_cell_get(line.told) <= now
  end
  return leads
end

return M
