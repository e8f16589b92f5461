-- SPDX-License-Identifier: Apache-2.0
local histograms = require 'ccrelay.log.histograms'

describe('histograms', function()
  it('count times in buckets that include those below', function()
    for _, ms in ipairs { 0.05, 3, 3, 1e7 } do histograms.add('times_a', 'x', ms) end
    histograms.add('times_a', 'y', 1)
    local x, bounds = nil, histograms.bounds()
    for _, one in ipairs(histograms.read().times_a) do
      if one.value == 'x' then x = one end
    end
    local at = {}
    for bucket, bound in ipairs(bounds) do at[bound] = x.counts[bucket] end
    assert.same({ 1, 1, 3, 3, 4 }, { at['0.0001'], at['0.0025'], at['0.005'], at['1000'], at['+Inf'] })
    assert.is_true(math.abs(x.sum_ms - 10000006.05) < 0.01)
  end)

  it('have the same number wherever they are named', function()
    assert.equal(histograms.number('times_b', 'x'), histograms.number('times_b', 'x'))
    assert.not_equal(histograms.number('times_b', 'x'), histograms.number('times_b', 'y'))
  end)
end)
