-- SPDX-License-Identifier: Apache-2.0
-- The lines of ccrelay top.
local top_view = require 'ccrelay.cli.top_view'

local function exchange(more)
  local made = {
    id = 'a1', at = 1764556800000, model = 'claude-opus-4-5', status = 200, outcome = 'ok', total_ms = 1500,
    attempts = { { key = 'zai/1', status = 529, error = 'overloaded_error' }, { key = 'b/1', status = 200 } },
    tokens = { input = 100, output = 20, cache_read = 30000, cache_write = 0 },
  }
  for name, value in pairs(more or {}) do made[name] = value end
  return made
end

local function state(more)
  local made = {
    at = 1764556805000, rate = 12.5, records = { most = 10000 }, under_way = {}, exchanges = { exchange() },
    relay = { version = '0.1.0', uptime_ms = 65000, generation = { number = 3 }, open = 2, reloads = {} },
    providers = { {
      provider = 'zai', breaker = 'open',
      lately = { attempts = 4, failures = 1, first_event_ms = { p50 = 9.2, p95 = 2100 } },
      keys = { {
        id = 'zai/1', state = 'open', ready_in_ms = 49100, headroom = 0.42, lately = { attempts = 4, failures = 1 },
      } },
    } },
    workers = { { slot = 0, pid = 77, open = 2, cpu = 0.034, memory_bytes = 7340032, lag_ms = { p99 = 2.5 } } },
    helpers = { { name = 'usage', pid = 78, memory_bytes = 1048576 } },
    master = { pid = 76, memory_bytes = 8388608 },
  }
  for name, value in pairs(more or {}) do made[name] = value end
  return made
end

local function told(more, columns, has_colours)
  local lines = top_view.lines(state(more), { columns = columns or 80, has_colours = has_colours })
  return table.concat(lines, '\n'), lines
end

local function has(text, pattern)
  assert.is_truthy(text:find(pattern), pattern .. '\n' .. text)
end

it('providers, keys, processes and exchanges have a line each', function()
  local text = told()
  has(text, '^ccrelay 0%.1%.0  up 65 s  generation 3  12%.5 requests/s  2 under way\n')
  has(text, '\nzai +circuit open +25 %% of 4 +9%.2 ms +2%.1 s\n')
  has(text, '\n  zai/1 +circuit open for 50 s +42 %% +25 %% of 4\n')
  has(text, '\nworker 0 +77 +2 +3 %% +7%.0 MiB +<= 2%.5 ms\n')
  has(text, '\nusage +78 +1%.0 MiB\nmaster +76 +8%.0 MiB\n')
  has(text, 'claude%-opus%-4%-5 +zai/1 overloaded_erro.* +200 +1%.5 s +30 k$')
end)

it('what is wrong is told above', function()
  local relay = { version = '0.1.0', uptime_ms = 1, generation = { number = 3 }, open = 0, draining = true,
    reloads = { fault = 'c.yaml:3: no' }, policy_aside = { instead = 'failover', why = 'p.lua:1: x' } }
  local text = told { relay = relay, helpers = { { name = 'usage', pid = 78, fault = 'disk full' } } }
  has(text, '\ndraining: no new requests\npolicy put aside, failover serves instead: p%.lua:1: x\n'
    .. 'usage: disk full\nlast reload refused: c%.yaml:3: no\n')
end)

it('exchanges under way have their age and trail', function()
  local waiting = exchange { attempts = {}, outcome = nil, status = nil }
  has(told { under_way = { waiting } }, '\nUNDER WAY .*\n5 s +claude%-opus%-4%-5 +waiting for an upstream\n')
  assert.is_nil(told():find 'UNDER WAY')
end)

it('no line is wider than the terminal', function()
  for _, columns in ipairs { 20, 40, 79, 80, 132 } do
    local long = exchange { model = ('m'):rep(200), attempts = { { key = ('k'):rep(300), status = 200 } } }
    local _, lines = told({ exchanges = { long }, under_way = { long } }, columns)
    for _, line in ipairs(lines) do assert.is_true(#line <= columns, columns .. ': ' .. line) end
  end
end)

it('names cannot control the terminal', function()
  local text = told { exchanges = { exchange { model = 'x\27[2J\194\155y' } } }
  assert.is_nil(text:find '[\27\128-\255]')
  has(text, 'x%?%[2J%?y')
end)

it('colours are there only when asked for, and do not change the text', function()
  local plain, coloured = told(), told(nil, 80, true)
  assert.is_nil(plain:find '\27')
  has(coloured, '\27%[31mcircuit open\27%[0m')
  local stripped = coloured:gsub('\27%[%d*m', '')
  assert.equal(plain, stripped)
end)
