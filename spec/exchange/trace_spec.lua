-- SPDX-License-Identifier: Apache-2.0
local trace = require 'ccrelay.exchange.trace'

local ID, SPAN = '4bf92f3577b34da6a3ce929d0e0e4736', '00f067aa0ba902b7'

describe('a traceparent', function()
  it('is read', function()
    assert.same({ ID, SPAN, true }, { trace.parse(('00-%s-%s-01'):format(ID, SPAN)) })
    assert.same({ ID, SPAN, false }, { trace.parse(('00-%s-%s-00'):format(ID, SPAN)) })
    assert.same({ ID, SPAN, true }, { trace.parse(('00-%s-%s-ff'):format(ID, SPAN)) })
  end)

  it('of a later version is read as far as it is known', function()
    assert.equal(ID, (trace.parse(('cc-%s-%s-01'):format(ID, SPAN))))
    assert.equal(ID, (trace.parse(('cc-%s-%s-01-what-the-future-will-be-like'):format(ID, SPAN))))
    assert.is_nil(trace.parse(('cc-%s-%s-01.what'):format(ID, SPAN)))
  end)

  it('that is not valid counts as none', function()
    for _, value in ipairs {
      '', 'x', ('00-%s-%s'):format(ID, SPAN), ('00-%s-%s-1'):format(ID, SPAN), ('00-%s-%s-01-'):format(ID, SPAN),
      ('00-%s-%s-01'):format(ID:upper(), SPAN), ('00-%s-%s-01'):format(ID:sub(2), SPAN),
      ('00-%s-%s-01'):format(ID, SPAN .. '0'), ('00-%s-%s-01'):format(('0'):rep(32), SPAN),
      ('00-%s-%s-01'):format(ID, ('0'):rep(16)), ('ff-%s-%s-01'):format(ID, SPAN), ('0g-%s-%s-01'):format(ID, SPAN),
      ('00-%s-%s-0g'):format(ID, SPAN), (' 00-%s-%s-01'):format(ID, SPAN),
    } do assert.is_nil(trace.parse(value), value) end
    assert.is_nil(trace.parse(nil))
  end)
end)
