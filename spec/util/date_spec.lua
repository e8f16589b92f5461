-- SPDX-License-Identifier: Apache-2.0
local date = require 'ccrelay.util.date'

describe('an RFC 3339 time', function()
  for text, expected in pairs {
    ['1970-01-01T00:00:00Z'] = 0, ['2024-02-29T12:00:01Z'] = 1709208001000, ['2026-11-23T03:52:05.5Z'] = 1795405925500,
    ['2026-11-23t05:52:05+02:00'] = 1795405925000, ['2026-11-22 22:22:05-05:30'] = 1795405925000,
    ['2016-12-31T23:59:60Z'] = 1483228800000,
  } do
    it(text .. ' is ' .. expected .. ' ms', function() assert.equal(expected, date.rfc3339(text)) end)
  end

  for _, text in ipairs {
    '', 'soon', '2026-11-23', '2026-11-23T03:52:05', '2026-13-01T00:00:00Z', '2026-00-01T00:00:00Z',
    '2026-01-00T00:00:00Z', '2026-01-32T00:00:00Z', '2026-01-01T24:00:00Z', '2026-01-01T00:60:00Z',
    '2026-01-01T00:00:61Z', '2026-11-23T03:52:05UTC', '2026-11-23T03:52:05+0200', '1795405925',
  } do
    it('is not "' .. text .. '"', function() assert.is_nil(date.rfc3339(text)) end)
  end
end)

describe('an HTTP date', function()
  for text, expected in pairs {
    ['Sun, 06 Nov 1994 08:49:37 GMT'] = 784111777000, ['Sunday, 06-Nov-94 08:49:37 GMT'] = 784111777000,
    ['Sun Nov  6 08:49:37 1994'] = 784111777000, ['Wed, 25 Nov 2026 17:56:35 GMT'] = 1795629395000,
    ['Wednesday, 25-Nov-26 17:56:35 GMT'] = 1795629395000, ['Thu, 01 Jan 1970 00:00:00 GMT'] = 0,
  } do
    it(text .. ' is ' .. expected .. ' ms', function() assert.equal(expected, date.http(text)) end)
  end

  for _, text in ipairs {
    '', 'now', 'Sun, 06 Nov 1994 08:49:37', 'Sun, 06 Nov 1994 08:49:37 CET', 'Mon, 99 Nov 2026 00:00:00 GMT',
    'Mon, 01 Xxx 2026 00:00:00 GMT', 'Mon, 01 Nov 2026 25:00:00 GMT', '2026-11-23T03:52:05Z',
  } do
    it('is not "' .. text .. '"', function() assert.is_nil(date.http(text)) end)
  end
end)
