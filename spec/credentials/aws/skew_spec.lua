-- SPDX-License-Identifier: Apache-2.0
local stage = require 'support.aws_stage'
local skew = require 'ccrelay.credentials.aws.skew'

describe('the skew of a clock', function()
  before_each(function() stage.new {} end)

  it('is 0 until it is learned, for each provider', function()
    assert.equal(0, skew.read 'p')
    assert.is_true(skew.learn('p', stage.date(-10), stage.NOW, 0))
    assert.equal(-600000, skew.read 'p')
    assert.equal(0, skew.read 'q')
  end)

  it('is reset when the clock is right again', function()
    skew.learn('p', stage.date(10), stage.NOW, 0)
    assert.is_true(skew.learn('p', stage.date(0), stage.NOW, 600000))
    assert.equal(0, skew.read 'p')
  end)

  it('is not learned if it differs less than four minutes from the one used', function()
    assert.is_false(skew.learn('p', stage.date(4), stage.NOW, 0))
    assert.is_false(skew.learn('p', stage.date(30), stage.NOW, 28 * 60000))
    assert.equal(0, skew.read 'p')
    assert.is_true(skew.learn('p', stage.date(5), stage.NOW, 0))
  end)

  it('is not learned without a date', function()
    assert.is_false(skew.learn('p', nil, stage.NOW, 0))
    assert.is_false(skew.learn('p', 'yesterday', stage.NOW, 0))
  end)

  it('is in whole milliseconds', function()
    skew.learn('p', stage.date(10), stage.NOW + 0.4, 0)
    assert.equal(600000, skew.read 'p')
  end)

  it('converts an expiry to the clock of this machine', function()
    assert.equal(1000, skew.here(1000, nil, stage.NOW))
    assert.equal(1000, skew.here(1000, stage.date(4), stage.NOW))
    assert.equal(1000 - 600000, skew.here(1000, stage.date(10), stage.NOW))
  end)
end)
