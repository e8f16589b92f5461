-- SPDX-License-Identifier: Apache-2.0
-- GET /requests of the admin listener: the records of recent exchanges, newest first, or with open=true those under
-- way. Filters: client, model, provider, status (429 or 4xx), limit. GET /requests/ID: one record, with what each
-- candidate would have cost and the providers that were not candidates.
local C = require 'ccrelay.c'
local each = require 'ccrelay.util.each'
local json = require 'ccrelay.util.json'
local records = require 'ccrelay.log.records'
local status = require 'ccrelay.server.admin.status'
local text = require 'ccrelay.util.text'

local M = { below = true }

local USUAL, MOST = 100, 1000 -- records of one answer

local FILTERS = {
  client = function(record, value) return record.client == value end,
  model = function(record, value) return record.model == value or record.sent_model == value end,
  provider = function(record, value) return record.provider == value end,
  status = function(record, value)
    local given = record.status or 0
    return tonumber(value) == given or value == math.floor(given / 100) .. 'xx'
  end,
}

-- ---- The list ----------------------------------------------------------------------------------

-- The parameters of a query; nil and an error message when one is unknown. Those without a value do not count.
local function parameters(query)
  local given = { limit = tostring(USUAL), open = 'false' }
  for name, value in each(text.parameters(query)) do
    if not FILTERS[name] and not given[name] then
      return nil, string.format('/requests has no parameter "%s"; there are client, model, provider, status, limit '
        .. 'and open', name)
    end
    if value ~= '' then given[name] = value end
  end
  given.limit = tonumber(string.match(given.limit, '^%d+$'))
  if not given.limit or given.limit < 1 or given.limit > MOST then
    return nil, 'limit is a number from 1 to ' .. MOST
  end
  return given
end

local function passes(record, given)
  for name, filter in each(FILTERS) do
    if given[name] and not filter(record, given[name]) then return false end
  end
  return true
end

local function for_json(record)
  json.array(record.attempts)
  json.array(record.candidates)
  return record
end

local function list(given)
  local out = json.array {}
  local function visit(record)
    if passes(record, given) then out[#out + 1] = for_json(record) end
    return #out >= given.limit
  end
  if given.open ~= 'true' then
    records.newest(visit)
    return out
  end
  local open = records.open()
  for index = #open, 1, -1 do
    if visit(open[index]) then break end
  end
  return out
end

-- ---- One record --------------------------------------------------------------------------------

-- Returns the cost of the exchange at a candidate, for the same tokens and the same use of its prompt cache.
local function cost_at(prices, candidate, record)
  local tokens = record.tokens
  return prices:cost {
    upstream = { provider = candidate.provider, model = candidate.model }, usage_known = true, status = 200,
    tier = record.tier, fast = record.fast,
    input_tokens = tokens.input, output_tokens = tokens.output, cache_read_tokens = tokens.cache_read,
    cache_write_tokens = tokens.cache_write_5m + tokens.cache_write_1h, cache_write_1h_tokens = tokens.cache_write_1h,
  }
end

local function add_costs(record, prices)
  for _, candidate in ipairs(prices and record.tokens and record.candidates or {}) do
    candidate.cost = candidate.model and cost_at(prices, candidate, record)
  end
end

-- The providers of the configuration in force that are not among the candidates.
local function add_others(record, generation)
  local seen, others = {}, json.array {}
  for _, candidate in ipairs(record.candidates) do seen[candidate.provider] = true end
  for _, provider in ipairs(generation.providers) do
    if not seen[provider.name] then others[#others + 1] = provider.name end
  end
  record.others = others
end

local function find(id)
  local found = records.find(id)
  if found then return found end
  for _, record in ipairs(records.open()) do
    if record.id == id then return record end
  end
end

local function one(master, id)
  local most, count = records.kept()
  if most == 0 then return nil, 404, 'no exchanges are kept: server.recent_exchanges is 0' end
  local record = find(id)
  if not record then
    return nil, 404, string.format('no exchange has this id; the relay keeps the latest %d and has %d now', most, count)
  end
  add_costs(record, master.generation.prices)
  if record.endpoint == 'messages' then add_others(record, master.generation) end
  record.policy = status.policy(master)
  record.in_force = record.generation == master.number
  return json.encode(for_json(record))
end

---@param master table
---@param request ccrelay.AdminRequest
---@return string? body
---@return integer? status of an error
---@return string? message
function M.answer(master, request)
  if request.rest ~= '' then return one(master, text.unescape(request.rest)) end
  local given, message = parameters(request.query)
  if not given then return nil, 400, message end
  local most, count = records.kept()
  return json.encode { kept = most, count = count, next = C.cc_records_next(), requests = list(given) }
end

return M
