-- SPDX-License-Identifier: Apache-2.0
local xml = require 'ccrelay.credentials.aws.xml'

describe('a small XML document', function()
  it('is parsed into texts by path', function()
    assert.same({ ['r/a/b'] = '1', ['r/c'] = '', ['r/d'] = '' },
      xml.fields '<?xml version="1.0" encoding="UTF-8"?>\n<r xmlns="x"><a k="<>">\n<b>1</b> </a><c/><d></d></r>\n')
  end)

  it('has entities', function()
    assert.same({ r = '<a> & "b" \'c\' A\195\164\226\130\172' },
      xml.fields '<r>&lt;a&gt; &amp; &quot;b&quot; &apos;c&apos; &#65;&#xe4;&#8364;</r>')
    assert.same({ r = '\127\194\128\223\191\224\160\128\239\191\191\240\144\128\128\244\143\191\191' },
      xml.fields '<r>&#x7f;&#x80;&#x7FF;&#x800;&#xffff;&#x10000;&#x10FFFF;</r>')
    assert.is_nil(xml.fields '<r>&#x110000;</r>')
  end)

  it('has comments', function() assert.same({ r = '12' }, xml.fields '<!-- <x> --><r>1<!-- & -->2</r>') end)

  it('gives the first of two', function() assert.same({ ['r/a'] = '1' }, xml.fields '<r><a>1</a><a>2</a></r>') end)

  for _, text in ipairs {
    '', 'text', '<r>', '<r></s>', '</r>', '<r></s></r>', '<r><a>&nope;</a></a></r>',
    '<r/><r/>', '<r>1</r>x', 'x<r>1</r>', '<r>&nope;</r>', '<r>&amp</r>',
    '<r>&#0;</r>', '<r>&#xD800;</r>', '<r>&#99999999999;</r>', '<!DOCTYPE r><r>1</r>', '<r><![CDATA[1]]></r>',
    '<r a="1', '<r <a></r>', '<1>1</1>', '<r><!-- </r>', '<r><?xml version="1.0"?></r>',
    ('<a>'):rep(17) .. '1' .. ('</a>'):rep(17),
  } do
    it('is refused: ' .. text:sub(1, 40), function() assert.is_nil(xml.fields(text)) end)
  end

  it('is parsed in linear time', function()
    local began = os.clock()
    xml.fields('<r>' .. ('<a>1</a>'):rep(8000) .. '</r>')
    xml.fields('<r ' .. ('"'):rep(65000))
    assert.is_true(os.clock() - began < 1)
  end)
end)
