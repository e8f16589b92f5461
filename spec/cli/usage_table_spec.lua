-- SPDX-License-Identifier: Apache-2.0
local json = require 'ccrelay.util.json'
local usage_table = require 'ccrelay.cli.usage_table'

local function row(fields)
  local all = { requests = 1, errors = 0, input_tokens = 10, output_tokens = 20, cache_read_tokens = 0,
    cache_write_5m_tokens = 3, cache_write_1h_tokens = 4, cost = 0.5, cost_unknown = 0 }
  for name, value in pairs(fields) do all[name] = value end
  return all
end

it('aligns names on the left and figures on the right', function()
  assert.same({
    'client  requests  errors  input  cache read  cache write  output     cost',
    'a              1       0     10           0            7      20   0.5000',
    '-           1200       0     10           0            7      20  unknown',
    'total       1201       0     10           0            7      20  0.5000+',
  }, usage_table.lines { by = { 'client' }, rows = { row { client = 'a' },
    row { client = '', requests = 1200, cost = json.null, cost_unknown = 1200 } },
    total = row { requests = 1201, cost_unknown = 1200 }, cut = false })
end)

it('shows no control characters, and tells whether there are more rows', function()
  local lines = usage_table.lines { by = { 'model' }, rows = { row { model = 'm\27[31m' } }, total = row {},
    cut = true }
  assert.is_nil(table.concat(lines):find '%c')
  assert.matches('more rows', lines[#lines])
end)
