-- SPDX-License-Identifier: Apache-2.0
-- The lines of the wait queue: which exchanges wait for which key, over all workers. They guarantee that an exchange
-- learns how much of the limits those ahead of it will use, and that a worker that has died or hangs delays the others
-- by LEASE_MS at most.
--
-- Each exchange has a ticket, numbered in the order in which they began to wait. A key has one line for its own limits,
-- and one for each class of models, for exchanges that wait for a limit of the class only. Each worker keeps its own
-- part of a line. It publishes, in a cell, the first ticket of its part and the sum of the demands of its exchanges. A
-- publication is valid for LEASE_MS; the first exchange of the part renews it.
local C = require 'ccrelay.c'
local reservation = require 'ccrelay.limits.reservation'
local cell = require 'ccrelay.shared.cell'
local each = require 'ccrelay.util.each'
local ffi = require 'ffi'
local model_class = require 'ccrelay.limits.model_class'

local M = {}

--- How long a worker's publication is valid, in ms.
M.LEASE_MS = 1000

---@class ccrelay.Line the exchanges of this worker in a line, lower tickets first
---@field name string
---@field waited_for integer cell: moment until which somebody waits in this line
---@field key_waited_for integer cell: moment until which somebody waits in any line of the key
---@field own integer cell of this worker: moment until which its publication is valid; its text is the publication
---@field demand number[] sum of the requests, input tokens and output tokens of its exchanges

---@alias ccrelay.Demands table<string, number[]> exchange.demands, written here only: by name of each line it is in

local lines = {} -- by name
local own_slot, workers = 0, 1
local ahead, worker_facts = ffi.new 'struct cc_rates', ffi.new 'struct cc_worker'
local text = ffi.new 'char[192]'

--- Sets the slot of this worker, when it starts.
---@param slot integer
function M.attach(slot)
  own_slot, workers = slot, slot + 1
  while C.cc_worker(workers, worker_facts) == C.CC_OK do workers = workers + 1 end
end

--- Returns a new ticket, higher than all before it.
---@return number
function M.ticket()
  return C.cc_cell_add(cell.number 'queue tickets', 1)
end

local function waited_for(where) return cell.number('queue:' .. where.name) end
local function cell_of(worker, name) return cell.number('queue ' .. worker .. ' ' .. name) end

local function publish(line)
  local first, demand = line[1], line.demand
  if not first then return C.cc_cell_set(line.own, 0) end
  local words = string.format('%.0f %.3f %.0f %.0f', first.queue.ticket, demand[1], demand[2], demand[3])
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

-- Adds the demand of the exchanges with lower tickets in a line, and returns whether there are any. The whole part of a
-- worker counts if its first ticket is lower.
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

--- Returns the demand, on a key, of those who wait ahead of an exchange; nil if nobody does.
---@param exchange ccrelay.Exchange
---@param key ccrelay.Key
---@param model string? as the upstream knows it
---@param now number
---@return ffi.cdata*? ahead struct cc_rates, valid until the next call
function M.ahead(exchange, key, model, now)
  local own = exchange.queue and exchange.queue.ticket or math.huge
  ahead.requests, ahead.input_tokens, ahead.output_tokens = 0, 0, 0
  local in_own, in_class = add_line(key, own, now), add_line(model_class.of(key, model), own, now)
  ahead.requests = math.floor(ahead.requests)
  ahead.input_tokens, ahead.output_tokens = math.floor(ahead.input_tokens), math.floor(ahead.output_tokens)
  return (in_own or in_class) and ahead or nil
end

local function whole(rate) return rate > 0 and rate or math.huge end

-- The demand on one key of an exchange that waits for `count` keys. It is bounded by what a key gives in a minute.
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
      key_waited_for = key.waited_for, demand = { 0, 0, 0 },
    }
    lines[where.name] = line
  end
  return line
end

local function change(line, demand, sign)
  for index, amount in ipairs(demand) do line.demand[index] = math.max(line.demand[index] + sign * amount, 0) end
end

local function insert(line, exchange, demand)
  local place = #line + 1
  while place > 1 and line[place - 1].queue.ticket > exchange.queue.ticket do place = place - 1 end
  table.insert(line, place, exchange)
  change(line, demand, 1)
  publish(line)
end

local function remove(line, exchange, demand)
  for index, other in ipairs(line) do
    if other == exchange then
      table.remove(line, index)
      break
    end
  end
  change(line, demand, -1)
  publish(line)
  local first = line[1]
  if not first then
    lines[line.name] = nil
  elseif first.queue.asleep then
    C.cc_exchange_timer(first.relay, first.handle, 0)
  end
end

--- Takes an exchange out of its lines, and wakes the next in each.
---@param exchange ccrelay.Exchange
function M.leave(exchange)
  for name, demand in each(exchange.demands or {}) do remove(lines[name], exchange, demand) end
  exchange.demands = false
end

-- Returns whether an exchange is in exactly the wanted lines, and how many those are.
local function is_in(demands, full)
  local all, count, held = true, 0, 0
  for _, wanted in each(full) do all, count = all and demands[wanted.line.name] ~= nil, count + 1 end
  for _ in each(demands) do held = held + 1 end
  return all and held == count, count
end

--- Puts an exchange into these lines and takes it out of all others. It waits for whichever key has room first.
---@param exchange ccrelay.Exchange with a ticket
---@param full table<ccrelay.Key, { line: ccrelay.Key|ccrelay.ModelClass }>
function M.join(exchange, full)
  local there, count = is_in(exchange.demands or {}, full)
  if there then return end
  M.leave(exchange)
  exchange.demands = {}
  for key, wanted in each(full) do
    local demand = share_of(exchange, key, count)
    exchange.demands[wanted.line.name] = demand
    insert(line_of(key, wanted.line), exchange, demand)
  end
end

--- Whether an exchange is the first of this worker in one of its lines, or the first has not renewed the line for
--- LEASE_MS. Renews the lines in which the exchange is the first.
---@param exchange ccrelay.Exchange
---@return boolean
function M.leads(exchange)
  local leads, now = false, C.cc_now()
  for name in each(exchange.demands) do
    local line = lines[name]
    if line[1] == exchange then publish(line) end
    leads = leads or line[1] == exchange or C.cc_cell_get(line.own) <= now
  end
  return leads
end

return M
