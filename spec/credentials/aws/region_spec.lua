-- SPDX-License-Identifier: Apache-2.0
local stage = require 'support.aws_stage'
local region = require 'ccrelay.credentials.aws.region'

describe('a region', function()
  for _, name in ipairs {
    'us-east-1', 'eu-central-1', 'us-gov-west-1', 'cn-north-1', 'ap-southeast-5', 'us-isob-east-1', 'eusc-de-east-1',
    'mx-central-1',
  } do
    it('can be ' .. name, function() assert.is_true(region.fits(name)) end)
  end

  for _, name in ipairs {
    '', 'us-east', 'useast1', 'US-EAST-1', 'us-east-1a', 'us_east_1', 'us-east-1.evil.test', 'us-east-1/', ' us-east-1',
    '-east-1', 'us--1', 'us-east-100', ('a'):rep(40) .. '-east-1',
  } do
    it('cannot be "' .. name:sub(1, 30) .. '"', function() assert.is_false(region.fits(name)) end)
  end

  it('has a domain', function()
    assert.equal('amazonaws.com', region.domain 'us-gov-west-1')
    assert.equal('amazonaws.com.cn', region.domain 'cn-north-1')
    assert.equal('c2s.ic.gov', region.domain 'us-iso-east-1')
    assert.equal('sc2s.sgov.gov', region.domain 'us-isob-east-1')
  end)

  it('for STS is that of the profile, else AWS_REGION, AWS_DEFAULT_REGION, the provider', function()
    local env = { AWS_REGION = 'eu-west-1', AWS_DEFAULT_REGION = 'eu-west-2' }
    local context = stage.new({ env = env }).context
    assert.equal('eu-north-1', region.choose(context, { region = 'eu-west-3' }, 'eu-north-1'))
    assert.equal('eu-west-1', region.choose(context, { region = 'eu-west-3' }))
    env.AWS_REGION = ' '
    assert.equal('eu-west-2', region.choose(context, { region = 'eu-west-3' }))
    env.AWS_DEFAULT_REGION = nil
    assert.equal('eu-west-3', region.choose(context, { region = 'eu-west-3' }))
    assert.truthy(stage.message(region.choose(context, {})):find('AWS_REGION', 1, true))
    assert.truthy(stage.message(region.choose(context, {}, 'x.test/')):find('is not an AWS region', 1, true))
  end)
end)
