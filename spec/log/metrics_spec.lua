-- SPDX-License-Identifier: Apache-2.0
local cell = require 'ccrelay.shared.cell'
local families = require 'ccrelay.log.families'
local histograms = require 'ccrelay.log.histograms'
local metrics = require 'ccrelay.log.metrics'
local series = require 'ccrelay.log.series'

local function has(text, part) assert.truthy(text:find(part, 1, true), part .. ' is not in\n' .. text) end

describe('metrics', function()
  cell.add('count:queued', 7)
  cell.add('count:status_7xx', 5)
  cell.add('count:attempts:zai', 3)
  cell.add('count:tokens_input:zai', 1200)
  series.new('cost_total', { 'provider', 'model' }):add(1500000000, 'zai', 'm')
  histograms.add('request_duration', 'zai', 20)
  local queued = metrics.counters().queued -- also those of other specs
  local text = metrics.text { generation = metrics.one(4), start_time_seconds = metrics.one(1764556800.25) }

  it('have help and type for every family, also for those without a sample', function()
    for _, family in ipairs(families) do
      local name = 'ccrelay_' .. family.name
      has(text, ('# HELP %s %s\n# TYPE %s %s\n'):format(name, family.help, name, family.type))
    end
  end)

  it('include counters, and those without labels also at 0', function()
    has(text, ('# TYPE ccrelay_queued_total counter\nccrelay_queued_total %d\n'):format(queued))
    has(text, 'ccrelay_status_total{class="7xx"} 5\n')
    has(text, 'ccrelay_provider_attempts_total{provider="zai"} 3\n')
    has(text, 'ccrelay_provider_tokens_total{provider="zai",kind="input"} 1200\n')
    has(text, 'ccrelay_shared_counts_total ')
  end)

  it('include costs in units of the currency', function()
    has(text, 'ccrelay_cost_total{provider="zai",model="m"} 1.5\n')
  end)

  it('include histograms in seconds', function()
    has(text, 'ccrelay_request_duration_seconds_bucket{provider="zai",le="0.01"} 0\n')
    has(text, 'ccrelay_request_duration_seconds_bucket{provider="zai",le="0.025"} 1\n')
    has(text, 'ccrelay_request_duration_seconds_bucket{provider="zai",le="+Inf"} 1\n')
    has(text, 'ccrelay_request_duration_seconds_sum{provider="zai"} 0.020000\n')
    has(text, 'ccrelay_request_duration_seconds_count{provider="zai"} 1\n')
  end)

  it('include gauges, and end with a newline', function()
    has(text, '# TYPE ccrelay_generation gauge\nccrelay_generation 4\n')
    has(text, 'ccrelay_start_time_seconds 1764556800.25\n')
    assert.equal('\n', text:sub(-1))
  end)
end)

describe('the list of metrics', function()
  it('gives _total to counters only, and _seconds to histograms', function()
    for _, family in ipairs(families) do
      assert.equal(family.type == 'counter', family.name:find '_total$' ~= nil, family.name)
      if family.type == 'histogram' then assert.truthy(family.name:find '_seconds$', family.name) end
    end
  end)
end)
