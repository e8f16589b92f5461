-- SPDX-License-Identifier: Apache-2.0
local ini = require 'ccrelay.credentials.aws.ini'

local function values(text)
  local out = {}
  for name, section in pairs(assert(ini.parse(text, 'F'))) do out[name] = section.values end
  return out
end

describe('a file of the AWS tools', function()
  it('has sections, names in any case and values with "=" in them', function()
    assert.same({ default = { aws_session_token = 'a==', region = 'eu-central-1' }, ['profile x'] = { region = 'y' } },
      values '[default]\naws_session_token = a==\nREGION:eu-central-1\n\n[profile x]\nregion=y\n')
  end)

  it('can have a byte order mark, CRLF, blanks, and text after a header', function()
    assert.same({ default = { a = 'b c' } }, values '\239\187\191[default] ; this\r\n a  =  b c  \r\n')
  end)

  it('has comments on lines of their own only', function()
    assert.same({ a = { k = 'v # not a comment', l = '1' } }, values '# x\n; y\n[a]\n  # z\nk = v # not a comment\nl=1')
  end)

  it('may be indented as a whole', function()
    assert.same({ a = { k = 'v', l = 'w' } }, values '[a]\n  k = v\n  l = w\n')
  end)

  it('continues a value on indented lines', function()
    assert.same({ a = { k = 'v\nw = 1', l = '2' } }, values '[a]\nk = v\n\n  w = 1\nl = 2\n')
  end)

  it('can have nested settings, which are left out like blank values', function()
    assert.same({ a = { region = 'x' } }, values '[a]\ns3 =\n  region = no\n  [b]\nempty =\nregion = x\n')
  end)

  it('gives the values of [DEFAULT] to all sections', function()
    assert.same({ a = { k = '1' }, b = { k = '2' } }, values '[DEFAULT]\nk = 1\n[a]\n[b]\nk = 2\n')
  end)

  it('may be empty', function() assert.same({}, values '') end)

  for text, expected in pairs {
    ['aws_secret_access_key = CANARY7f3a9d'] = 'F:1: a line before the first section, such as [default]',
    ['[a]\nCANARY7f3a9d'] = 'F:2: neither a [section] nor "name = value"',
    ['[a]\n= CANARY7f3a9d'] = 'F:2: neither a [section] nor "name = value"',
    ['[a]\n[b]\n\n[a]'] = 'F:4: the section [a] appears twice, first in line 1',
    ['[a]\nk = CANARY7f3a9d\nK = 2'] = 'F:3: k is there twice in [a], first in line 2',
  } do
    it('is refused: ' .. expected, function()
      local sections, message = ini.parse(text, 'F')
      assert.is_nil(sections)
      assert.equal(expected, message)
    end)
  end
end)
