-- SPDX-License-Identifier: Apache-2.0
local base64 = require 'ccrelay.util.base64'

describe('base64', function()
  for text, expected in pairs { [''] = '', f = 'Zg==', fo = 'Zm8=', foo = 'Zm9v', foob = 'Zm9vYg==',
    ['\255\0\254'] = '/wD+' } do
    it('makes "' .. expected .. '"', function() assert.equal(expected, base64.encode(text)) end)
  end
end)
