-- SPDX-License-Identifier: Apache-2.0
-- The admin listener: who may read it, and its pages.
local ffi = require 'ffi'
local fake = require 'support.fake_c'
local admin = require 'ccrelay.server.admin'
local json = require 'ccrelay.util.json'
local new = require 'support.admin_master'

local TOKEN = 'canary-admin-token'

local function ask(master, path, headers, method)
  local event = ffi.new 'struct cc_event'
  headers = headers or { host = 'localhost:8788' }
  local exchange = fake.arrive(0, { method = method or 'GET', path = path or '/status', headers = headers })
  repeat assert(fake.C.cc_next(nil, event)) until event.type == fake.C.CC_EVENT_READY
  admin.answer(master, event.id)
  local answer = exchange.answer
  return answer.status, answer
end

describe('an admin listener without a token', function()
  it('answers requests for names of this machine', function()
    for _, host in ipairs { 'localhost:8788', 'LOCALHOST', '127.0.0.1:8788', '[::1]:8788' } do
      assert.equal(200, (ask(new(), '/status', { host = host })), host)
    end
    assert.equal(200, (ask(new(), '/status', { host = 'localhost', origin = 'http://localhost:3000' })))
  end)

  for _, path in ipairs { '/status', '/metrics', '/health', '/none' } do
    it('refuses a foreign Host and a foreign Origin at ' .. path, function()
      for _, host in ipairs { 'evil.example', 'localhost.evil.example:8788', '127.0.0.1.evil.example', '10.0.0.1' } do
        local status, answer = ask(new(), path, { host = host })
        assert.equal(403, status, host)
        assert.equal('this listener answers loopback names only', json.decode(answer.body).error.message)
      end
      for _, origin in ipairs { 'https://evil.example', 'null', 'http://localhost.evil.example' } do
        assert.equal(403, (ask(new(), path, { host = 'localhost', origin = origin })), origin)
      end
    end)
  end
end)

describe('an admin listener with a token', function()
  it('answers requests with the token, under any name', function()
    local master = new(TOKEN)
    for _, scheme in ipairs { 'Bearer ', 'bearer ' } do
      assert.equal(200, (ask(master, '/status', { host = 'relay.example', authorization = scheme .. TOKEN })))
    end
  end)

  it('refuses all others, and does not show the token', function()
    local master = new(TOKEN)
    for _, given in ipairs { '', TOKEN, 'Bearer ', 'Bearer x', 'Bearer ' .. TOKEN .. 'x', 'Basic ' .. TOKEN } do
      local status, answer = ask(master, '/status', { host = 'localhost', authorization = given })
      assert.equal(401, status, given)
      assert.equal('Bearer', answer.headers['www-authenticate'])
      assert.is_nil(answer.body:find(TOKEN, 1, true))
    end
  end)
end)

describe('the pages', function()
  it('show the state of the relay, and no keys', function()
    local _, answer = ask(new())
    local told = json.decode(answer.body)
    assert.same({ 3, 2, 1 }, { told.generation.number, told.reloads.done, told.reloads.refused })
    assert.equal('one', told.providers[1].provider)
    assert.equal('no-store', answer.headers['cache-control'])
    assert.is_nil(answer.body:find('sk-one', 1, true))
  end)

  it('include metrics unless they are disabled', function()
    local status, answer = ask(new(), '/metrics')
    assert.equal(200, status)
    assert.matches('ccrelay_reloads_refused 1\n', answer.body)
    assert.equal(404, (ask(new('', false), '/metrics')))
  end)

  it('are read-only, and are listed for an unknown path', function()
    local status, answer = ask(new(), '/health', nil, 'POST')
    assert.same({ 405, 'GET, HEAD' }, { status, answer.headers.allow })
    assert.equal(200, (ask(new(), '/health', nil, 'HEAD')))
    status, answer = ask(new(), '/none')
    assert.equal(404, status)
    local names = '/ (dashboard), /status, /metrics, /requests, /usage, /events and /health'
    assert.equal('there is no such page; there are ' .. names,
      json.decode(answer.body).error.message)
  end)
end)
