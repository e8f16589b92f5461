-- SPDX-License-Identifier: Apache-2.0
-- The lines of the wait queue: which exchanges wait for which key, over all workers. It guarantees that an exchange
-- learns what those ahead of it will take, and that a worker that has died or hangs delays the others by LEASE_MS at
-- most.
--
-- Each exchange has a ticket, in the order in which they began to wait. A key has one line for its own limits
-- and one for each class of models, for exchanges that only the class's limits keep out. Each worker keeps its
-- own part of a line and publishes, in a cell, its first ticket and the sum of what its part will take. That
-- is valid for LEASE_MS; the first exchange of the part renews it.
local C = require 'ccrelay.c'
local reservation = require 'ccrelay.limits.reservation'
local cell = require 'ccrelay.shared.cell'
local each = require 'ccrelay.util.each'
local ffi = require 'ffi'
local model_class = require 'ccrelay.limits.model_class'

local M = {}

--- How long what a worker publishes is valid, in ms.
M.LEASE_MS = 1000

---@class ccrelay.Line the exchanges of this worker in a line, those with lower tickets first
---@field name string
---@field waited_for integer cell that says until when anybody waits in it
---@field key_waited_for integer the same of all lines of the key
---@field own integer cell of this worker: until when what it publishes is valid; its text is what it publishes
---@field takes number[] requests, input and output tokens of all of them

---@alias ccrelay.Takes table<string, number[]> exchange.takes, written here only: by the name of each line it is in

local lines = {} -- by name
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

local function waited_for(where) return cell.number('queue:' .. where.name) end
local function cell_of(worker, name) return cell.number('queue ' .. worker .. ' ' .. name) end

local function publish(line)
  local first, takes = line[1], line.takes
  if not first then return C.cc_cell_set(line.own, 0) end
  local words = string.format('%.0f %.3f %.0f %.0f', first.queue.ticket, takes[1], takes[2], takes[3])
  local until_ms = C.cc_now() + M.LEASE_MS
  C.cc_cell_write(line.own, words, #words)
  C.cc_cell_set(line.own, until_ms)
  C.cc_cell_set(line.waited_for, until_ms)
  C.cc_cell_set(line.key_waited_for, until_ms)
end

local function read(worker, name, now)
  local number = cell_of(worker, name)
  if C.cc_cell_get(number) <= now then return nil end
  local words = ffi.string(text, C.cc_cell_text(number, text, 192))
  local ticket, requests, input, output = string.match(words, '^(%S+) (%S+) (%S+) (%S+)$')
  return tonumber(ticket), tonumber(requests), tonumber(input), tonumber(output)
end

local function add(requests, input, output)
  ahead.requests = ahead.requests + requests
  ahead.input_tokens, ahead.output_tokens = ahead.input_tokens + input, ahead.output_tokens + output
end

-- Adds what those with lower tickets in a line will take: whether there are any. Of a worker's part of the
-- line all counts if its first is one of them.
local function add_line(where, own, now)
  if C.cc_cell_get(waited_for(where)) <= now then return false end
  local any = false
  for worker = 0, workers - 1 do
    local ticket, requests, input, output = read(worker, where.name, now)
    if ticket and ticket < own then
      any = true
      add(requests, input, output)
    end
  end
  return any
end

--- What those who came before an exchange will take of a key: nil when nobody waits before it.
---@param exchange ccrelay.Exchange
---@param key ccrelay.Key
---@param model string? as the upstream knows it
---@param now number
---@return ffi.cdata*? ahead struct cc_rates, until the next call
function M.ahead(exchange, key, model, now)
  local own = exchange.queue and exchange.queue.ticket or math.huge
  ahead.requests, ahead.input_tokens, ahead.output_tokens = 0, 0, 0
  local in_own, in_class = add_line(key, own, now), add_line(model_class.of(key, model), own, now)
  ahead.requests = math.floor(ahead.requests)
  ahead.input_tokens, ahead.output_tokens = math.floor(ahead.input_tokens), math.floor(ahead.output_tokens)
  return (in_own or in_class) and ahead or nil
end

local function whole(rate) return rate > 0 and rate or math.huge end

-- What an exchange that waits for so many keys takes of one of them: more than a minute's worth is one.
local function share_of(exchange, key, count)
  local input, output = reservation.estimate(exchange, key)
  local rates = key.token_rates or { 0, 0, 0, 0 }
  input = math.min(input, whole(rates[3]), whole(rates[2]))
  output = math.min(output, whole(rates[4]), whole(rates[2]) - input)
  return { 1 / count, input / count, output / count }
end

local function line_of(key, where)
  local line = lines[where.name]
  if not line then
    line = {
      name = where.name, own = cell_of(own_slot, where.name), waited_for = waited_for(where),
      key_waited_for = key.waited_for, takes = { 0, 0, 0 },
    }
    lines[where.name] = line
  end
  return line
end

local function change(line, takes, sign)
  for index, amount in ipairs(takes) do line.takes[index] = math.max(line.takes[index] + sign * amount, 0) end
end

local function insert(line, exchange, takes)
  local place = #line + 1
  while place > 1 and line[place - 1].queue.ticket > exchange.queue.ticket do place = place - 1 end
  table.insert(line, place, exchange)
  change(line, takes, 1)
  publish(line)
end

local function remove(line, exchange, takes)
  for index, other in ipairs(line) do
    if other == exchange then
      table.remove(line, index)
      break
    end
  end
  change(line, takes, -1)
  publish(line)
  local first = line[1]
  if not first then
    lines[line.name] = nil
  elseif first.queue.asleep then
    C.cc_exchange_timer(first.relay, first.handle, 0)
  end
end

--- An exchange waits no more; who is first behind it is woken.
---@param exchange ccrelay.Exchange
function M.leave(exchange)
  for name, takes in each(exchange.takes or {}) do remove(lines[name], exchange, takes) end
  exchange.takes = false
end

-- Whether it is in these lines and no others; and how many they are.
local function is_in(takes, full)
  local all, count, held = true, 0, 0
  for _, wanted in each(full) do all, count = all and takes[wanted.line.name] ~= nil, count + 1 end
  for _ in each(takes) do held = held + 1 end
  return all and held == count, count
end

--- An exchange waits in these lines, for whichever key has room for it first, and in no others.
---@param exchange ccrelay.Exchange with a ticket
---@param full table<ccrelay.Key, { line: ccrelay.Key|ccrelay.ModelClass }>
function M.join(exchange, full)
  local there, count = is_in(exchange.takes or {}, full)
  if there then return end
  M.leave(exchange)
  exchange.takes = {}
  for key, wanted in each(full) do
    local takes = share_of(exchange, key, count)
    exchange.takes[wanted.line.name] = takes
    insert(line_of(key, wanted.line), exchange, takes)
  end
end

--- Whether an exchange is the first of this worker at a key that it waits for, or the one that is has not
--- renewed its line for LEASE_MS. Renews what is published of the lines that it is the first of.
---@param exchange ccrelay.Exchange
---@return boolean
function M.leads(exchange)
  local leads, now = false, C.cc_now()
  for name in each(exchange.takes) do
    local line = lines[name]
    if line[1] == exchange then publish(line) end
    leads = leads or line[1] == exchange or C.cc_cell_get(line.own) <= now
  end
  return leads
end

return M
