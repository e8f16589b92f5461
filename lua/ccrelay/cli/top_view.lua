-- SPDX-License-Identifier: Apache-2.0
-- Writes a snapshot of the relay (/events of the admin listener) as lines for a terminal. It guarantees that no line is
-- wider than the terminal, and that nothing a client or provider named controls it.
local each = require 'ccrelay.util.each'

local M = {}

---@class ccrelay.TopOptions
---@field columns integer width of the terminal
---@field has_colours boolean?

local LEAST = 8 -- width of a cell that takes what is left
local COLOURS = { good = '32', warn = '33', bad = '31', head = '2', strong = '1' }
local CIRCUITS = { closed = { 'closed', 'good' }, half_open = { 'half open', 'warn' }, open = { 'open', 'bad' } }
local STATES = {
  ready = { 'ready', 'good' }, limited = { 'limited', 'warn' }, cooling = { 'overloaded', 'warn' },
  aside = { 'suspended', 'bad' }, half_open = { 'half open', 'warn' }, open = { 'circuit open', 'bad' },
}

--- Replaces whatever is not printable ASCII, as its width and effect are not known.
---@param text string
---@return string
function M.plain(text)
  return (string.gsub(text, '[^\32-\126]+', '?'))
end

-- ---- Figures -----------------------------------------------------------------------------------

local function duration(ms)
  local seconds = math.floor(ms / 1000)
  if seconds < 120 then return ('%d s'):format(seconds) end
  if seconds < 7200 then return ('%d min'):format(seconds / 60) end
  if seconds < 172800 then return ('%d h %d min'):format(seconds / 3600, seconds / 60 % 60) end
  return ('%d d'):format(seconds / 86400)
end

local function time(ms)
  if not ms then return '' end
  if ms < 10 then return ('%.1f ms'):format(ms) end
  return ms < 1000 and ('%d ms'):format(ms) or ('%.1f s'):format(ms / 1000)
end

local function share(lately)
  if lately.attempts == 0 then return '' end
  return ('%d %% of %d'):format(lately.failures / lately.attempts * 100 + 0.5, lately.attempts)
end

local function tokens_of(exchange)
  local sum = 0
  for _, kind in ipairs { 'input', 'output', 'cache_read', 'cache_write' } do
    sum = sum + (exchange.tokens and exchange.tokens[kind] or 0)
  end
  if sum == 0 then return '' end
  if sum < 10000 then return ('%d'):format(sum) end
  return sum < 1e7 and ('%d k'):format(sum / 1000) or ('%d M'):format(sum / 1e6)
end

-- ---- Lines -------------------------------------------------------------------------------------

local function painted(text, colour, options)
  if not (colour and options.has_colours) or text == '' then return text end
  return '\27[' .. COLOURS[colour] .. 'm' .. text .. '\27[0m'
end

local function cut(text, width)
  if #text <= width then return text end
  return width > 3 and string.sub(text, 1, width - 2) .. '..' or string.sub(text, 1, width)
end

-- The width that is left for the cell of width 0 among the first count cells.
local function rest_of(cells, count, columns)
  local rest = columns - (count - 1)
  for index = 1, count do rest = rest - math.abs(cells[index][2]) end
  return rest
end

-- A line of cells { text, width, colour }; a negative width aligns to the right, 0 takes what is left. The last cells
-- are left out if there is no room for all.
local function line(options, cells)
  local count, parts = #cells, {}
  while count > 1 and rest_of(cells, count, options.columns) < LEAST do count = count - 1 end
  for index = 1, count do
    local cell = cells[index]
    local width = cell[2] == 0 and rest_of(cells, count, options.columns) or math.abs(cell[2])
    local text = cut(M.plain(cell[1]), width)
    local gap = string.rep(' ', width - #text)
    local shown = painted(text, cell[3], options)
    parts[index] = cell[2] < 0 and gap .. shown or shown .. gap
  end
  return (string.gsub(table.concat(parts, ' '), ' +$', ''))
end

local function head(options, cells)
  for _, cell in ipairs(cells) do cell[3] = 'head' end
  return line(options, cells)
end

-- Lists the troubles of the relay, each with its colour.
local function troubles(state)
  local relay, list = state.relay, {}
  local aside, fault = relay.policy_aside, relay.reloads.fault
  if relay.draining then list[1] = { 'draining: no new requests', 'warn' } end
  if aside then
    list[#list + 1] = { ('policy put aside, %s serves instead: %s'):format(aside.instead, aside.why), 'bad' }
  end
  for _, helper in ipairs(state.helpers) do
    if helper.fault then list[#list + 1] = { helper.name .. ': ' .. helper.fault, 'bad' } end
  end
  if fault then list[#list + 1] = { 'last reload refused: ' .. fault, 'bad' } end
  return list
end

local function add_relay(out, state, options)
  local relay = state.relay
  out[#out + 1] = line(options, { { ('ccrelay %s  up %s  generation %d  %s requests/s  %d under way'):format(
    relay.version, duration(relay.uptime_ms), relay.generation.number, state.rate, relay.open), 0, 'strong' } })
  for _, one in ipairs(troubles(state)) do out[#out + 1] = line(options, { { one[1], 0, one[2] } }) end
end

local function key_state(key)
  local state = STATES[key.state] or { key.state }
  local reason = key.reason and ' (' .. key.reason .. ')' or ''
  local wait = (key.ready_in_ms or 0) > 0 and ' for ' .. duration(key.ready_in_ms + 999) or ''
  return state[1] .. reason .. wait, state[2]
end

-- The least of the configured limits and of those that the provider tells of.
local function headroom(key)
  local least = key.headroom
  for _, value in each(key.class_headroom or {}) do least = math.min(least, value) end
  return ('%d %%'):format(least * 100)
end

local function add_providers(out, state, options)
  out[#out + 1] = head(options, { { 'PROVIDER, KEY', 15 }, { 'STATE', 0 }, { 'HEADROOM', -8 }, { 'ERRORS', -12 },
    { 'FIRST p50', -9 }, { 'p95', -7 } })
  for _, provider in ipairs(state.providers) do
    local circuit, first = CIRCUITS[provider.breaker], provider.lately.first_event_ms or {}
    out[#out + 1] = line(options, { { provider.provider, 15 }, { 'circuit ' .. circuit[1], 0, circuit[2] }, { '', -8 },
      { share(provider.lately), -12 }, { time(first.p50), -9 }, { time(first.p95), -7 } })
    for _, key in ipairs(provider.keys) do
      local text, colour = key_state(key)
      out[#out + 1] = line(options, { { '  ' .. key.id, 15 }, { text, 0, colour },
        { headroom(key), -8 }, { share(key.lately), -12 }, { '', -9 }, { '', -7 } })
    end
  end
end

local function add_workers(out, state, options)
  out[#out + 1] = head(options, { { 'PROCESS', 0 }, { 'PID', -8 }, { 'OPEN', -6 }, { 'CPU', -6 }, { 'MEMORY', -9 },
    { 'LAG p99', -10 } })
  local function add(name, one)
    local lag = one.lag_ms and one.lag_ms.p99
    out[#out + 1] = line(options, { { name, 0 }, { ('%d'):format(one.pid), -8 },
      { one.open and tostring(one.open) or '', -6 }, { one.cpu and ('%d %%'):format(one.cpu * 100 + 0.5) or '', -6 },
      { one.memory_bytes and ('%.1f MiB'):format(one.memory_bytes / 1048576) or '', -9 },
      { lag and '<= ' .. time(lag) or '', -10 } })
  end
  for _, worker in ipairs(state.workers) do add('worker ' .. worker.slot, worker) end
  for _, helper in ipairs(state.helpers) do add(helper.name, helper) end
  add('master', state.master)
end

local function trail(exchange)
  local steps = {}
  for index, attempt in ipairs(exchange.attempts) do
    local answer = attempt.raced and 'lost the race' or attempt.error or attempt.status
    steps[index] = attempt.key .. (answer and ' ' .. answer or '')
  end
  return table.concat(steps, ' > ')
end

local function add_open(out, state, options)
  if #state.under_way == 0 then return end
  out[#out + 1] = head(options, { { 'UNDER WAY', 9 }, { 'MODEL', 20 }, { 'TRAIL', 0 } })
  for _, exchange in ipairs(state.under_way) do
    local steps = trail(exchange)
    out[#out + 1] = line(options, { { duration(state.at - exchange.at), 9 },
      { exchange.model or exchange.endpoint or '', 20 }, { steps == '' and 'waiting for an upstream' or steps, 0 } })
  end
end

local function outcome(exchange)
  if exchange.outcome == 'ok' then return tostring(exchange.status), 'good' end
  local colour = exchange.outcome == 'cancelled' and 'warn' or 'bad'
  return exchange.status and tostring(exchange.status) or exchange.outcome, colour
end

local function add_exchanges(out, state, options)
  if #state.exchanges == 0 then return end
  out[#out + 1] = head(options, { { 'ENDED', 9 }, { 'MODEL', 20 }, { 'TRAIL', 0 }, { 'STATUS', -9 }, { 'TOTAL', -7 },
    { 'TOKENS', -6 } })
  for index = #state.exchanges, 1, -1 do
    local exchange = state.exchanges[index]
    local text, colour = outcome(exchange)
    out[#out + 1] = line(options, { { os.date('%H:%M:%S', (exchange.at + exchange.total_ms) / 1000), 9 },
      { exchange.model or exchange.endpoint or '', 20 }, { trail(exchange), 0 }, { text, -9, colour },
      { time(exchange.total_ms), -7 }, { tokens_of(exchange), -6 } })
  end
end

--- Returns the lines to show.
---@param state table a snapshot
---@param options ccrelay.TopOptions
---@return string[]
function M.lines(state, options)
  local out = {}
  for _, add in ipairs { add_relay, add_providers, add_workers, add_open, add_exchanges } do
    local before = #out
    add(out, state, options)
    if before > 0 and #out > before then table.insert(out, before + 1, '') end
  end
  return out
end

return M
