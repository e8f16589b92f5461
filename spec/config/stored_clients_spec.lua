-- SPDX-License-Identifier: Apache-2.0
-- The clients of ccrelay client: how they join the configuration, and how their file is read and written.
local config = require 'ccrelay.config'
local stored_clients = require 'ccrelay.config.stored_clients'

local DIGEST = ('0123456789abcdef'):rep(4)
local OTHER = ('fedcba9876543210'):rep(4)

local function load(text, more)
  return config.load { text = 'server: {state_dir: /nowhere' .. (more or '') .. '}\n', format = 'yaml', path = 'c.yaml',
    stored_clients = function(folder)
      assert.equal('/nowhere', folder)
      return { path = folder .. '/clients.json', text = text }
    end }
end

local function refused(text, pattern, more)
  local configuration, faults = load(text, more)
  assert.is_nil(configuration)
  local lines = {}
  for index, one in ipairs(faults) do lines[index] = config.text(one) end
  assert.match(pattern, table.concat(lines, '\n'))
end

local function one(fields)
  return ('{"clients": [{"name": "alice", "key_sha256": "%s"%s}]}'):format(DIGEST, fields or '')
end

describe('stored clients', function()
  it('join those of the configuration', function()
    local text = one ', "rpm_limit": 5, "added": "2026-01-01T00:00:00Z", "expires": "2027-01-31"'
    local clients = assert(load(text, ', auth: {clients: [{name: bob, key: k}]}')).server.auth.clients
    assert.same({ 'bob', 'alice' }, { clients[1].name, clients[2].name })
    assert.same({ DIGEST, 5, 0, '2027-01-31' },
      { clients[2].key_sha256, clients[2].rpm_limit, clients[2].tpm_limit, clients[2].expires })
  end)

  it('are none without a file, or in an empty one', function()
    assert.is_nil(assert(load(nil)).server.auth.clients)
    assert.is_nil(assert(load '{"clients": [\n\n]}\n').server.auth.clients)
  end)

  it('let a listener be reached from other machines', function()
    refused(nil, 'which other machines can reach', ', listen: "0.0.0.0:1"')
    assert(load(one(), ', listen: "0.0.0.0:1"'))
    assert(load(one ', "revoked": "2026-01-01T00:00:00Z"', ', listen: "0.0.0.0:1"'))
  end)

  it('are refused if they are faulty', function()
    refused('{', 'clients%.json: it is damaged')
    refused('{"clients": 3}', 'clients%.json: it is damaged')
    refused('{"clients": [3]}', 'clients%.json%[0%]: this is no client')
    refused('{"clients": [{"name": "x", "key_sha256": "abc"}]}', 'key_sha256: found')
    refused('{"clients": [{"name": "x"}]}', 'either key or key_sha256 is required')
    refused(one ', "key": "k"', 'there is no such key')
    refused(one ', "expires": "soon"', 'expires: found')
    refused(one ', "group": "none"', 'server%.auth%.groups')
    refused(one(), 'found "alice" again', ', auth: {clients: [{name: alice, key: k}]}')
    refused(one(), 'this key is also used by',
      (', auth: {clients: [{name: bob, key_sha256: "%s"}]}'):format(DIGEST))
  end)

  it('are active, expired or revoked', function()
    local function state(fields, now) return stored_clients.state(fields, now) end
    local first = 1798761600000 -- 2027-01-01
    assert.equal('active', state({}, first))
    assert.equal('active', state({ expires = '2027-01-01' }, first + 86399999))
    assert.equal('expired', state({ expires = '2027-01-01' }, first + 86400000))
    assert.equal('expired', state({ expires = '2027-01-01T00:00:00Z' }, first))
    assert.equal('active', state({ expires = '2027-01-01T00:00:00Z' }, first - 1))
    assert.equal('revoked', state({ revoked = '2026-01-01T00:00:00Z' }, first))
  end)

  it('are written and read', function()
    local folder = os.tmpname()
    os.remove(folder) -- it is made by the first file
    local path = folder .. '/clients.json'
    finally(function()
      os.remove(path)
      os.remove(folder)
    end)
    assert.is_nil(stored_clients.read 'off')
    assert.is_nil(stored_clients.read(folder).text)
    stored_clients.make(folder)
    local empty = stored_clients.read(folder)
    assert.same({}, stored_clients.decode(empty))
    assert.is_true(stored_clients.same(empty, { path = path }))
    local list = { { name = 'a', key_sha256 = DIGEST }, { name = 'b', key_sha256 = OTHER, rpm_limit = 2 } }
    assert(stored_clients.write(path, list))
    local full = stored_clients.read(folder)
    assert.same(list, stored_clients.decode(full))
    assert.is_false(stored_clients.same(empty, full))
    stored_clients.make(folder)
    assert.is_true(stored_clients.same(full, stored_clients.read(folder)))
  end)

  it('get made-up keys where things are tried out', function()
    local hashed = { name = 'a', key_sha256 = DIGEST, expires = '2020-01-01' }
    local auth = { clients = { hashed, { name = 'b', key = 'k' } } }
    stored_clients.make_up_keys(auth)
    assert.same({ clients = { { name = 'a', key = stored_clients.made_up_key 'a' }, { name = 'b', key = 'k' } } }, auth)
  end)
end)
