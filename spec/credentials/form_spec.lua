-- SPDX-License-Identifier: Apache-2.0
local form = require 'ccrelay.credentials.form'

describe('ccrelay.credentials.form', function()
  it('keeps the order, leaves out entries without a value, escapes all but unreserved bytes', function()
    assert.equal('b=1&a=x%20%26%3D%2B%2F~._-', form.encode { { 'b', '1' }, { 'no', nil }, { 'n', false }, { 'a',
      'x &=+/~._-' } })
    assert.equal('%C3%A9%00%0A', form.escape 'é\0\n')
    assert.equal('', form.encode {})
  end)
end)
