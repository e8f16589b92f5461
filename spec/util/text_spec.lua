-- SPDX-License-Identifier: Apache-2.0
-- Texts of others: whatever is in them, they are read in a time that grows as they do.
require 'support.fake_c'
local Auth = require 'ccrelay.exchange.client_auth'
local api_error = require 'ccrelay.util.api_error'
local ini = require 'ccrelay.credentials.aws.ini'
local keys = require 'ccrelay.credentials.aws.keys'
local texts = require 'ccrelay.util.text'
local token_reply = require 'ccrelay.credentials.token_reply'

local LONG = 64000
local BLANKS = 'x' .. (' '):rep(LONG) .. 'x'

local readers = {
  ['the message of an error'] = function() return api_error.message_of(nil, BLANKS) == BLANKS end,
  ['a bearer token'] = function() return Auth.bearer('Bearer ' .. BLANKS) == BLANKS end,
  ['the host of a request'] = function() return not Auth.is_local(('1'):rep(LONG) .. ':x') end,
  ['the words of a service'] = function() return #token_reply.words(BLANKS) > 0 end,
  ['the words of a service full of "eyJ"'] = function() return #token_reply.words(('eyJ'):rep(LONG / 3)) > 0 end,
  ['a value of the environment'] = function() return keys.filled(BLANKS) == BLANKS end,
  ['a line of a file'] = function()
    return ini.parse('[default]\na' .. (' '):rep(LONG) .. 'b = c' .. (' '):rep(LONG) .. 'd\n', 'file') ~= nil
  end,
}

describe('a long text', function()
  for name, read in pairs(readers) do
    it('takes linear time in ' .. name, function()
      local began = os.clock()
      assert.is_true(read())
      assert.is_true(os.clock() - began < 0.3)
    end)
  end
end)

describe('trim', function()
  it('removes the blanks around a text', function()
    for text, trimmed in pairs {
      [''] = '', [' '] = '', ['\t\r\n\v\f '] = '', a = 'a', [' a'] = 'a', ['a\n'] = 'a', [' a b '] = 'a b',
      ['\0 '] = '\0', ['\194\160'] = '\194\160',
    } do
      assert.equal(trimmed, texts.trim(text))
    end
  end)
end)

describe('text that looks like a token', function()
  it('is removed from the message of a service', function()
    for text, told in pairs {
      ['a eyJhb.c.d e'] = 'a [redacted] e', ['xeyJa.b'] = 'x[redacted]', ['eyJ.a'] = 'eyJ.a', ['eyJab.'] = 'eyJab.',
      ['eyJ.eyJa.b'] = 'eyJ.[redacted]', ['eyJ'] = 'eyJ', ['a\n\tb  c'] = 'a b  c', ['a \127 b'] = 'a b',
    } do
      assert.equal(told, token_reply.words(text))
    end
  end)
end)

describe('count', function()
  it('uses the singular or the plural', function()
    assert.same({ '0 workers', '1 worker', '2 workers' },
      { texts.count(0, 'worker'), texts.count(1, 'worker'), texts.count(2, 'worker') })
  end)
end)

describe('parameters', function()
  it('are those of a query, decoded', function()
    assert.same({ a = '2', ['b c'] = 'd&e', f = '', g = '1=2' }, texts.parameters 'a=1&b+c=d%26e&&f&g=1=2&a=2')
    assert.same({}, texts.parameters '')
  end)
end)
