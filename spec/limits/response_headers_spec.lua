-- SPDX-License-Identifier: Apache-2.0
local fake = require 'support.fake_c'
local stage = require 'support.stage'
local response_headers = require 'ccrelay.limits.response_headers'

describe('an RFC 3339 time', function()
  for text, expected in pairs {
    ['1970-01-01T00:00:00Z'] = 0, ['2024-02-29T12:00:01Z'] = 1709208001, ['2000-03-01T00:00:00Z'] = 951868800,
    ['2026-11-23T03:52:05.5Z'] = 1795405925.5, ['2026-11-23T05:52:05+02:00'] = 1795405925,
    ['2026-11-22T22:22:05-05:30'] = 1795405925, ['2100-03-01T00:00:00Z'] = 4107542400,
  } do
    it(text .. ' is ' .. expected, function() assert.equal(expected, response_headers.rfc3339(text)) end)
  end

  for _, text in ipairs { '', 'soon', '2026-11-23', '2026-11-23T03:52:05', '1795405925', '2026-11-23T03:52:05+2' } do
    it('is not "' .. text .. '"', function() assert.is_nil(response_headers.rfc3339(text)) end)
  end
end)

describe('retry-after', function()
  for text, expected in pairs { ['0'] = 0, ['7'] = 7, ['2.5'] = 2.5, ['999999'] = 999999 } do
    it(text .. ' is ' .. expected .. ' s', function() assert.equal(expected, response_headers.seconds(text)) end)
  end

  for _, text in ipairs { '', '-1', '0x10', '1e3', 'nan', 'inf', 'Mon, 99 Xxx 2026 00:00:00 GMT', ('9'):rep(400) } do
    it('is not "' .. text:sub(1, 30) .. '"', function() assert.is_nil(response_headers.seconds(text)) end)
  end

  it('in the past is 0', function()
    stage.new()
    assert.equal(0, response_headers.seconds 'Sun, 06 Nov 1994 08:49:37 GMT')
  end)

  it('is used after retry-after-ms, unless that cannot be read', function()
    local function seconds(milliseconds)
      return response_headers.retry_after { ['retry-after'] = '7', ['retry-after-ms'] = milliseconds }
    end
    assert.equal(1.5, seconds '1500')
    assert.equal(7, seconds(nil))
    assert.equal(7, seconds 'soon')
    assert.is_nil(response_headers.retry_after {})
  end)
end)

it('headers of an answer are learned without counting the attempt\'s own reservation twice', function()
  local self, learn, reserved = stage.new {}, fake.C.cc_limit_learn, nil
  fake.C.cc_limit_learn = function(limit, kind, rate, remaining, reset, now, own)
    reserved = own
    return learn(limit, kind, rate, remaining, reset, now, own)
  end
  self:reply('one', { headers = {
    ['anthropic-ratelimit-requests-limit'] = '50', ['anthropic-ratelimit-requests-remaining'] = '49',
    ['anthropic-ratelimit-requests-reset'] = '2100-01-01T00:00:00Z',
  } })
  self:request {}
  fake.C.cc_limit_learn = learn
  assert.is_truthy(reserved)
end)
