-- SPDX-License-Identifier: Apache-2.0
-- Assigns the sockets of a service manager to listeners.
local each = require 'ccrelay.util.each'
local ffi = require 'ffi'
local fake = require 'support.fake_c'
local passed_sockets = require 'ccrelay.net.passed_sockets'

local C = fake.C

describe('passed sockets', function()
  local addresses, before

  before_each(function()
    before = { cc_passed_sockets = rawget(C, 'cc_passed_sockets'), cc_passed_address = rawget(C, 'cc_passed_address') }
    C.cc_passed_sockets = function() return #addresses end
    C.cc_passed_address = function(fd, out)
      local address = addresses[fd - 2]
      if address == '' then return C.CC_EINVAL end
      ffi.copy(out, address)
      return C.CC_OK
    end
  end)

  after_each(function()
    C.cc_passed_sockets, C.cc_passed_address = before.cc_passed_sockets, before.cc_passed_address
  end)

  local function take(names, ...)
    addresses = { ... }
    return passed_sockets.take(function(name) return name == 'LISTEN_FDNAMES' and names or nil end)
  end

  local function override(...)
    local changes = {}
    passed_sockets.override(assert(take(...)), changes)
    return changes
  end

  it('serve clients, and admin.listen by name', function()
    assert.same({ server = { listen = { '127.0.0.1:1', '[::1]:3' } }, admin = { listen = '127.0.0.1:2' } },
      override('ccrelay.socket:admin:x', '127.0.0.1:1', '127.0.0.1:2', '[::1]:3'))
    assert.same({ server = { listen = { 'unix:/a' } } }, override('', 'unix:/a'))
    assert.same({ admin = { listen = 'unix:/a' } }, override('admin', 'unix:/a'))
    assert.same({ server = { listen = { 'unix:/a proxy_protocol' } } }, override('proxy_protocol', 'unix:/a'))
    assert.same({}, override(nil))
    assert.equal(5, take('a:admin:b', 'x:1', 'y:2', 'z:3').clients[2].fd)
    assert.equal(4, take(':admin', 'x:1', 'y:2').admin.fd)
    assert.equal(3, take('admin:', 'x:1', 'y:2').admin.fd)
  end)

  it('are refused if one cannot be used', function()
    local sockets, message = take('a:b', '127.0.0.1:1', '')
    assert.is_nil(sockets)
    assert.match('^socket activation: ', message)
    sockets, message = take('admin:admin', '127.0.0.1:1', '127.0.0.1:2')
    assert.is_nil(sockets)
    assert.equal('socket activation: two sockets are named "admin"', message)
    for names, count in each { ['a'] = 1, ['a:admin:b'] = 3 } do
      sockets, message = take(names, '127.0.0.1:1', '127.0.0.1:2')
      assert.is_nil(sockets)
      assert.equal(('socket activation: LISTEN_FDNAMES has %d names, LISTEN_FDS is 2'):format(count), message)
    end
    assert.same({ clients = {} }, take 'names:of:another process')
  end)
end)
