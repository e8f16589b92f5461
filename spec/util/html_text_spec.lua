-- SPDX-License-Identifier: Apache-2.0
local html_text = require 'ccrelay.util.html_text'

describe('the text of an HTML page', function()
  it('is what a reader sees', function()
    for text, words in pairs {
      ['<html>\n<head><title>502 Bad Gateway</title></head>\n<body>\n<center><h1>502 Bad Gateway</h1></center>\n'
        .. '<hr><center>nginx</center>\n</body>\n</html>'] = '502 Bad Gateway nginx',
      ['<!DOCTYPE html><HTML lang="en"><Body class="a"><p>Sorry, you&nbsp;have been <b>blocked</b> &amp; logged</p>'
        .. '<script src="x">if (a < b) { alert("no") }</script><STYLE>p { color: red }</STYLE></body></html>']
        = 'Sorry, you have been blocked & logged',
      ['<!doctype html><html><body><header>Access denied</header><script>never closed'] = 'Access denied',
      ['<html>Bad gateway</html>'] = 'Bad gateway',
    } do
      assert.equal(words, html_text.words(text))
    end
  end)

  it('is its title if it shows no text', function()
    assert.equal('Access denied', html_text.words '<!DOCTYPE html><html><title lang="en">Access denied</title></html>')
    assert.equal('Request blocked', html_text.words '<html><head><title>Request blocked</title></head></html>')
    assert.equal('', html_text.words '<html></html>')
  end)

  it('is the text itself if it is not a page', function()
    for _, text in ipairs {
      '', 'RBAC: access denied', '<Error><Code>AccessDenied</Code></Error>', 'a <html> in a text',
    } do
      assert.equal(text, html_text.words(text))
    end
  end)
end)
