-- SPDX-License-Identifier: Apache-2.0
local series = require 'ccrelay.log.series'

local function values(metric)
  local found = {}
  for _, sample in ipairs(series.read()[metric] or {}) do found[sample.labels] = sample.value end
  return found
end

describe('counters with labels', function()
  it('count each combination of values', function()
    local counters = series.new('series_a_total', { 'one', 'two', 'three' })
    counters:add(1, 'a', 'b', 'c')
    counters:add(2, 'a', 'b', 'c')
    counters:add(5, 'a', 'b', 'd')
    assert.same({ ['{one="a",two="b",three="c"}'] = 3, ['{one="a",two="b",three="d"}'] = 5 }, values 'series_a_total')
  end)

  it('are shared with other processes', function()
    series.new('series_b_total', { 'one' }):add(1, 'x')
    series.new('series_b_total', { 'one' }):add(1, 'x')
    assert.same({ ['{one="x"}'] = 2 }, values 'series_b_total')
  end)

  it('keep long names apart', function()
    local counters, long = series.new('series_c_total', { 'one', 'two' }), ('x'):rep(56)
    counters:add(1, long, 'a')
    counters:add(4, long, 'b')
    assert.same({ [('{one="%s",two="a"}'):format(long)] = 1, [('{one="%s",two="b"}'):format(long)] = 4 },
      values 'series_c_total')
  end)

  it('escape values', function()
    assert.equal('{a="x\\"y",b="\\\\\\n"}', series.text({ 'a', 'b' }, { 'x"y', '\\\n' }))
    assert.equal('', series.text({}, {}))
  end)
end)
