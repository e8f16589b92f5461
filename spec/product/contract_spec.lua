-- SPDX-License-Identifier: Apache-2.0
-- The real and the scripted C side accept and refuse the same arguments.
local ffi = require 'ffi'
local fake = require 'support.fake_c'

local real = require('ccrelay.testing.world').real

local function slice(text) return { data = text, size = #text } end

-- A request that waits for its answer: the C side that has it, its relay, its id and an attempt of it.
local function scripted()
  local C, event = fake.C, ffi.new 'struct cc_event'
  fake.reset()
  fake.arrive(0, { body = '{}' })
  assert(C.cc_next(nil, event))
  local origin = C.cc_origin(nil, ffi.new('struct cc_origin', { host = slice 'a.test', port = 80 }))
  return C, nil, event.id, C.cc_attempt_begin(nil, event.id, origin, ffi.new 'struct cc_attempt_spec')
end

local function await(relay, event, kind)
  while real.cc_next(relay, event) do
    if event.type == kind then return event.id end
  end
end

-- Of the real one, which asks itself.
local function live()
  local relay, event = real.cc_open(), ffi.new 'struct cc_event'
  finally(function() real.cc_close(relay) end)
  local listener = real.cc_listen(relay, ffi.new('struct cc_listen', { host = slice '127.0.0.1', copies = 1 }))
  assert(listener >= 0 and real.cc_accept(relay, listener, 0) == real.CC_OK)
  local origin = real.cc_origin(relay, ffi.new('struct cc_origin', { host = slice '127.0.0.1',
    port = real.cc_listener_port(relay, listener) }))
  assert(real.cc_fetch(relay, ffi.new('struct cc_fetch', { origin = origin, method = slice 'POST', target = slice '/',
    body = slice '{}', timeout_ms = 10000, answer_bytes = 1000 })) > 0)
  local id = await(relay, event, real.CC_EVENT_READY)
  if event.detail == 0 then
    real.cc_request_accept(relay, id)
    await(relay, event, real.CC_EVENT_BODY)
  end
  return real, relay, id, real.cc_attempt_begin(relay, id, origin, ffi.new 'struct cc_attempt_spec')
end

local ok, refused = {}, {}
ok.header = {
  { 'x-my-header', 'v' }, { 'X_Odd!#$%&\'*+.^`|~9', 'v' }, { 'x-api-key', 'k' }, { 'x-tab', 'a\tb' },
  { 'x-utf', 'h\195\164' }, { 'x-empty', '' }, { 'content-type', 'text/plain' }, { 'expect', '' },
}
refused.header = {
  { '', 'v' }, { 'x y', 'v' }, { 'x:', 'v' }, { 'x\r\nevil', 'v' }, { 'x\0', 'v' }, { 'h\195\164', 'v' },
  { 'x/y', 'v' }, { '(x)', 'v' }, { 'x', 'a\nb' }, { 'x', 'a\rb' }, { 'x', 'a\0b' }, { 'x', 'a\27b' }, { 'x', 'a\127' },
  { 'Content-Length', '1' }, { 'Connection', 'close' }, { 'Transfer-Encoding', 'chunked' }, { 'TE', 'trailers' },
  { 'keep-alive', '1' }, { 'upgrade', 'h2c' }, { 'trailer', 'x' }, { 'proxy-authorization', 'x' },
  { 'proxy-connection', 'x' }, { 'proxy-authenticate', 'x' },
}
local OF_REQUESTS = { { 'Host', 'a' }, { 'Accept-Encoding', 'br' } } -- what only an answer may set
ok.target = { '/', '/v1/messages?beta=true', '/a%20b', '/"<>\\^`{|}~' }
refused.target = {
  '', 'v1/messages', 'http://a.test/', '*', '/a b', '/a\tb', '/a\r\nx', '/a\0', '/a#b', '/h\195\164', '/\127',
}
ok.method = { 'GET', 'PATCH', 'x-odd' }
refused.method = { '', 'GET ', 'G T', 'GET\r\n', 'GET/' }

local function shown(...) return ('%q %q'):format(..., select(2, ...) or '') end

for name, open in pairs { ['the scripted C side'] = scripted, ['the real C side'] = live } do
  describe(name, function()
    local C, relay, id, try

    local function send(key, value) return C.cc_attempt_header(relay, id, try, key, #key, value, #value) end
    local function answer(key, value) return C.cc_answer_header(relay, id, key, #key, value, #value) end
    local function target(text) return C.cc_attempt_target(relay, id, try, text, #text) end
    local function method(text) return C.cc_attempt_method(relay, id, try, text, #text) end

    local function all(expected, list, set)
      for _, entry in ipairs(list) do
        local a, b = entry, nil
        if type(entry) == 'table' then a, b = entry[1], entry[2] end
        assert.equal(expected, set(a, b), shown(a, b))
      end
    end

    it('accepts and refuses the same requests and answers', function()
      C, relay, id, try = open()
      assert.is_true(try >= 0)
      for _, set in ipairs { send, answer } do
        all(C.CC_OK, ok.header, set)
        all(C.CC_EINVAL, refused.header, set)
      end
      all(C.CC_EINVAL, OF_REQUESTS, send)
      all(C.CC_OK, OF_REQUESTS, answer)
      all(C.CC_OK, ok.target, target)
      all(C.CC_EINVAL, refused.target, target)
      all(C.CC_OK, ok.method, method)
      all(C.CC_EINVAL, refused.method, method)
    end)
  end)
end
