-- SPDX-License-Identifier: Apache-2.0
local stage = require 'support.stage'
local address = require 'ccrelay.net.address'
local base64 = require 'ccrelay.util.base64'
local proxy = require 'ccrelay.net.proxy'

local function through(url, variables)
  return proxy.of(assert(address.url(url)), function(name) return variables[name] end)
end

describe('the proxy of an upstream', function()
  it('is named by the variable of its scheme, lower case first', function()
    assert.same({ host = 'p', port = 3128, auth = '' }, through('https://api.x', { https_proxy = 'http://p:3128' }))
    assert.same({ host = 'p', port = 3128, auth = '' }, through('http://api.x', { HTTP_PROXY = 'p:3128' }))
    assert.equal('small', through('https://api.x', { https_proxy = 'small:1', HTTPS_PROXY = 'LARGE:2' }).host)
    assert.equal('all', through('https://api.x', { ALL_PROXY = 'http://all/' }).host)
    assert.is_nil(through('https://api.x', { http_proxy = 'p:1' }))
    assert.is_nil(through('https://api.x', {}))
    assert.is_nil(through('https://api.x', { https_proxy = '' }))
  end)

  it('has a port of its own or 1080', function()
    assert.equal(1080, through('https://api.x', { https_proxy = 'http://p' }).port)
    assert.equal(8080, through('https://api.x', { https_proxy = 'http://[::1]:8080' }).port)
    assert.equal(1080, through('https://api.x', { https_proxy = 'http://[::1]' }).port)
  end)

  it('may ask for a name', function()
    local auth = through('https://api.x', { https_proxy = 'http://us%40er:pa:ss@p:1' }).auth
    assert.equal('Basic ' .. base64.encode 'us@er:pa:ss', auth)
    assert.equal('Basic dXNAZXI6cGE6c3M=', auth)
  end)

  it('is an http proxy, else the start is refused', function()
    for _, value in ipairs { 'socks5://p:1', 'https://p:1', 'http://p:x', 'http://p:1/path', 'http://' } do
      local found, message = through('https://api.x', { https_proxy = value })
      assert.is_nil(found)
      assert.is_truthy(message:find '^https_proxy', value)
    end
  end)

  for list, exempt in pairs {
    ['*'] = true, ['api.x'] = true, ['.x'] = true, ['x'] = true, ['API.X'] = true, ['*.x'] = true,
      ['a, api.x ,b'] = true,
    ['api.x:443'] = true, ['api.x:444'] = false, ['i.x'] = false, ['api.x.y'] = false, ['pi.x'] = false, [','] = false,
    ['y api.x'] = true,
  } do
    it('is ' .. (exempt and 'not ' or '') .. 'used with NO_PROXY=' .. list, function()
      local found = through('https://api.x', { https_proxy = 'p:1', NO_PROXY = list })
      assert.equal(exempt, found == nil)
    end)
  end

  it('is never used for this machine', function()
    for _, host in ipairs { 'localhost', '127.0.0.1', '127.3.4.5', '[::1]' } do
      assert.is_nil(through('http://' .. host, { http_proxy = 'p:1' }))
    end
  end)

  it('is not used for addresses that are listed', function()
    local variables = { https_proxy = 'p:1', no_proxy = '10.0.0.1,fd00::1' }
    assert.is_nil(through('https://10.0.0.1', variables))
    assert.is_truthy(through('https://10.0.0.2', variables))
    assert.is_nil(through('https://[fd00::1]', variables))
  end)

  for list, hosts in pairs {
    ['10.0.0.0/8'] = { ['10.0.0.0'] = true, ['10.255.255.255'] = true, ['11.0.0.0'] = false, ['9.255.255.255'] = false,
      ['api.x'] = false, ['[::ffff:10.1.2.3]'] = true },
    ['192.168.4.0/22'] = { ['192.168.3.255'] = false, ['192.168.4.0'] = true, ['192.168.7.255'] = true,
      ['192.168.8.0'] = false },
    ['192.0.2.7/24'] = { ['192.0.2.200'] = true, ['192.0.3.1'] = false },
    ['192.0.2.7/32'] = { ['192.0.2.7'] = true, ['192.0.2.6'] = false },
    ['0.0.0.0/0'] = { ['192.0.2.7'] = true, ['[2001:db8::1]'] = false, ['api.x'] = false },
    ['fd00::/8'] = { ['[fd12:3456::1]'] = true, ['[fe00::1]'] = false, ['10.0.0.1'] = false },
    ['2001:db8:4000::/35'] = { ['[2001:db8:4000::1]'] = true, ['[2001:db8:5fff:ffff::]'] = true,
      ['[2001:db8:6000::]'] = false },
    ['2001:db8::1/128'] = { ['[2001:db8::1]'] = true, ['[2001:db8::2]'] = false },
    ['::/0'] = { ['[2001:db8::1]'] = true, ['10.0.0.1'] = false },
    ['x, 172.16.0.0/12 ,y'] = { ['172.31.0.1'] = true, ['172.32.0.1'] = false },
    ['10.0.0.0/33'] = { ['10.0.0.0'] = false }, ['10.0.0.0/'] = { ['10.0.0.0'] = false },
    ['10.0.0.0/-1'] = { ['10.0.0.0'] = false }, ['fd00::/129'] = { ['[fd00::]'] = false },
    ['api.x/8'] = { ['api.x'] = false }, ['10.0/8'] = { ['10.0.0.1'] = false }, ['/8'] = { ['10.0.0.1'] = false },
  } do
    for host, exempt in pairs(hosts) do
      it('is ' .. (exempt and 'not ' or '') .. 'used for ' .. host .. ' with NO_PROXY=' .. list, function()
        local found = through('https://' .. host, { https_proxy = 'p:1', NO_PROXY = list })
        assert.equal(exempt, found == nil)
      end)
    end
  end

  it('is passed to C', function()
    local self = stage.new { env = function(name) return name == 'http_proxy' and 'http://u:p@proxy.test:3128'
      or nil end }
    local _, exchange = self:request()
    assert.equal('proxy.test', exchange.tries[1].origin.proxy)
    assert.equal(3128, exchange.tries[1].origin.proxy_port)
    assert.equal('one.test', exchange.tries[1].origin.host)
  end)
end)
