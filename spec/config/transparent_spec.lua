-- SPDX-License-Identifier: Apache-2.0
-- To which providers a client's own credential may go.
local config = require 'ccrelay.config'
local helper = require 'support.config_helper'
local stage = require 'support.stage'
local transparent = require 'ccrelay.config.transparent'

local ANTHROPIC = { transparent = true, defaults = { base_url = 'https://api.anthropic.com' } }

describe('Anthropic itself', function()
  for _, base in ipairs {
    'https://api.anthropic.com', 'https://api.anthropic.com/', 'https://api.anthropic.com:443',
    'HTTPS://API.Anthropic.COM',
    'https://api.anthropic.com/prefix',
  } do
    it('is ' .. base, function() assert.is_true(transparent.is_anthropic(base)) end)
  end

  for _, base in ipairs {
    'http://api.anthropic.com', 'https://api.anthropic.com:8443', 'https://api.anthropic.com.evil.test',
    'https://evil.test/api.anthropic.com', 'https://api.anthropic.com@evil.test', 'https://evil-api.anthropic.com',
    'https://api-anthropic.com', 'https://anthropic.com', 'https://console.anthropic.com', 'https://api.anthropic.co',
    'https://api.anthropic.com\\.evil.test', 'https://api.anthropic.com%2eevil.test', 'https://xn--pi-anthropic.com',
    'https://api.anthropic.com#.evil.test', 'https://api.anthropic.com?.evil.test', '//api.anthropic.com',
    'api.anthropic.com', '', 'https://160.79.104.10', 'https://[::1]', 'https://api.anthropic.com\0.evil.test',
  } do
    it('is not ' .. base:gsub('%z', '\\0'), function() assert.is_false(transparent.is_anthropic(base)) end)
  end
end)

-- What an upstream of such an entry gets of a client's credential and of its own.
local function got(entry, headers, auth)
  entry.name, entry.keys = 'p', entry.keys or { { key = 'sk-own-credential' } }
  local self = stage.new { providers = { entry }, server = { auth = auth } }
  local _, exchange = self:request { headers = headers }
  local attempt = exchange.tries[1]
  return attempt and (attempt.headers.authorization or attempt.headers['x-api-key'] or 'none') or 'nobody asked'
end

local OAT = 'Bearer sk-ant-oat01-theirs'

describe('a client\'s credential', function()
  local brought = { bearer = { authorization = 'Bearer theirs' }, key = { ['x-api-key'] = 'Bearer theirs' } }
  for what, headers in pairs(brought) do
    for _, row in ipairs {
      { 'anthropic', false, nil, 'Bearer theirs' },
      { 'anthropic', false, false, 'sk-own-credential' },
      { 'anthropic', 'https://gateway.test', nil, 'sk-own-credential' },
      { 'anthropic', 'http://api.anthropic.com', nil, 'sk-own-credential' },
      { 'anthropic', 'https://api.anthropic.com:444', nil, 'sk-own-credential' },
      { 'anthropic', 'https://gateway.test', true, 'Bearer theirs' },
      { 'zai', false, nil, 'sk-own-credential' },
      { 'zai', 'https://api.anthropic.com', nil, 'sk-own-credential' },
      { 'zai', 'https://gateway.test', true, 'Bearer theirs' },
      { 'ollama', 'https://gateway.test', nil, 'Bearer sk-own-credential' },
    } do
      local kind, base, says, expected = unpack(row, 1, 4)
      it(('as a %s at %s of type %s, transparent %s: %s'):format(what, tostring(base), kind, tostring(says), expected),
        function()
          local entry = { type = kind, base_url = base, transparent = says, allow_http = true, models = { 'claude-*' } }
          assert.equal(expected, got(entry, headers))
        end)
    end
  end

  it('of a subscription follows the same rule, and without a key no other provider is asked', function()
    local auth = { api_key = 'relay-key', allow_subscription = true }
    local headers = { authorization = OAT }
    assert.equal(OAT, got({ type = 'anthropic', base_url = false }, headers, auth))
    assert.equal(OAT, got({ type = 'anthropic', transparent = true }, headers, auth))
    assert.equal('sk-own-credential', got({ type = 'anthropic' }, headers, auth))
    assert.equal('nobody asked', got({ type = 'anthropic', keys = {} }, headers, auth))
    assert.equal('nobody asked', got({ type = 'anthropic', transparent = false, base_url = false, keys = {} }, headers,
      auth))
  end)

  it('is not passed on in failover', function()
    local self = stage.new { providers = {
      { name = 'a', type = 'anthropic', base_url = false, keys = {} },
      { name = 'b', type = 'anthropic', keys = { { key = 'sk-b' } } },
    } }
    self.replies['api.anthropic.com'] = { { status = 529, body = '{}' } }
    local _, exchange = self:request { headers = { authorization = OAT } }
    assert.equal(OAT, exchange.tries[1].headers.authorization)
    assert.same({ 'b.test', 'sk-b' }, { exchange.tries[2].origin.host, exchange.tries[2].headers['x-api-key'] })
    assert.is_nil(exchange.tries[2].headers.authorization)
  end)

  for status, body in pairs { [401] = '{}', [402] = '{}', [403] = '{}', [429] = '{}',
    [404] = '{"type":"error","error":{"type":"not_found_error","message":"model: claude-sonnet-4-5"}}' } do
    it('that gets a ' .. status .. ' does not suspend the provider for others', function()
      local self = stage.new { providers = {
        { name = 'a', type = 'anthropic', transparent = true, keys = { { key = 'sk-a', priority = 2 } } },
        { name = 'b', type = 'anthropic', keys = { { key = 'sk-b' } } },
      } }
      local headers = { ['retry-after'] = '3600' }
      self:reply('a', { status = status, body = body, headers = headers }, { status = 200 })
      self:request { headers = { authorization = 'Bearer one' } }
      for _, request in ipairs { { headers = { authorization = 'Bearer other' } }, {} } do
        local _, exchange = self:request(request)
        assert.equal('a.test', exchange.tries[1].origin.host)
        assert.equal(1, #exchange.tries)
      end
      assert.equal(0, self:count 'key suspended')
    end)
  end
end)

describe('transparent: true', function()
  it('is refused for a type with another kind of credentials', function()
    local generation, faults = stage.build { providers = { { name = 'b', type = 'bedrock', aws_region = 'us-east-1',
      transparent = true } } }
    assert.is_nil(generation)
    assert.is_truthy(faults:find('transparent is for types that take a key; type bedrock has', 1, true))
  end)

  local function warned(entry, server)
    local text = 'server: {%s}\nproviders: [{name: p, type: anthropic, %s}]'
    local _, notes = helper.load(text:format(server or '', entry), nil, nil, { adapters = { anthropic = ANTHROPIC } })
    for _, note in ipairs(notes) do
      if note.path == 'providers[0].transparent' then return config.text(note) end
    end
  end

  it('is suggested by name if the address is another and clients may bring credentials', function()
    local foreign = 'base_url: "https://gateway.test", keys: [{key: k}]'
    assert.equal('configuration:2: providers[0].transparent: clients\' own credentials are not passed to '
      .. 'https://gateway.test ("p"); set transparent: true to pass them, or false to confirm', warned(foreign))
    assert.is_truthy(warned(foreign, 'auth: {allow_bearer: true}'))
    assert.is_truthy(warned(foreign, 'auth: {api_key: r, allow_subscription: true}'))
    assert.is_nil(warned(foreign, 'auth: {api_key: r}'))
    assert.is_nil(warned(foreign .. ', transparent: true'))
    assert.is_nil(warned(foreign .. ', transparent: false'))
    assert.is_nil(warned(foreign .. ', enabled: false'))
    assert.is_nil(warned 'keys: [{key: k}]')
    assert.is_nil(warned 'base_url: "https://API.anthropic.com/", keys: [{key: k}]')
  end)
end)
