-- SPDX-License-Identifier: Apache-2.0
-- Conversations and the organisations that served them.
local affinity = require 'ccrelay.routing.affinity'
local stage = require 'support.stage'

local SIGNED, CACHED = { 'signatures' }, { 'cache' }

local function key(id, org, more)
  local settings = { key = 'sk-' .. id, org = org }
  for name, value in pairs(more or {}) do settings[name] = value end
  return settings
end

local strategy

local function new(...)
  local providers = {}
  for index, keys in ipairs { ... } do
    providers[index] = { name = 'p' .. index, type = 'anthropic', keys = keys,
      pooling = { strategy = strategy } }
  end
  return stage.new { providers = providers }
end

-- The key that served a request of a session.
local function served(self, features, session, more)
  local request = more or {}
  request.features = features
  request.headers = { ['x-claude-code-session-id'] = session ~= false and (session or 's-1') or nil }
  local _, exchange = self:request(request)
  return exchange.tries[#exchange.tries].headers['x-api-key']
end

-- All keys that serve so many requests.
local function servants(self, count, ...)
  local seen, names = {}, {}
  for _ = 1, count do seen[served(self, ...)] = true end
  for name in pairs(seen) do names[#names + 1] = name end
  table.sort(names)
  return table.concat(names, ' ')
end

local FOUR = { key('a1', 'a'), key('a2', 'a'), key('b1', 'b'), key('b2', 'b') }

describe('a conversation with signatures', function()
  before_each(function() strategy = 'round_robin' end)

  it('is sent to the organisation that served it last', function()
    local self = new(FOUR)
    local first = served(self)
    local org = first:match '%-(%l)'
    assert.equal(('sk-%s1 sk-%s2'):format(org, org), servants(self, 8, SIGNED))
  end)

  it('is identified by metadata.user_id if there is no session header', function()
    local self = new(FOUR)
    local body = { body = { metadata = { user_id = 'u-1' } } }
    local org = served(self, nil, false, body):match '%-(%l)'
    assert.equal(('sk-%s1 sk-%s2'):format(org, org), servants(self, 8, SIGNED, false, body))
  end)

  it('may change between providers of one organisation', function()
    local self = new({ key('b1', 'b') }, { key('a1', 'a') }, { key('b2', 'b') })
    self:reply('p1', { status = 500, body = '{}' })
    self:reply('p2', { status = 500, body = '{}' }, { status = 200 })
    assert.equal('sk-b2', served(self))
    self:reply('p1', { status = 500, body = '{}' })
    assert.equal('sk-b2', served(self, SIGNED))
    assert.equal(0, self:count 'switched')
  end)

  it('goes to keys of higher priority first', function()
    local self = new { key('a1', 'a', { priority = 2 }), key('b1', 'b', { priority = 1 }) }
    self.replies['p1.test'] = { { status = 429, body = '{}', headers = { ['retry-after'] = '5' } }, { status = 200 } }
    assert.equal('sk-b1', served(self))
    stage.advance(6000)
    assert.equal('sk-a1', served(self, SIGNED))
  end)

  it('is told from another by its session', function()
    local self, seen = new(FOUR), {}
    served(self)
    for index = 1, 12 do seen[served(self, SIGNED, 's-' .. index + 10)] = true end
    assert.same({ ['sk-a1'] = true, ['sk-a2'] = true, ['sk-b1'] = true, ['sk-b2'] = true }, seen)
  end)

  it('follows the organisation that took it over', function()
    local self = new { key('a1', 'a'), key('b1', 'b') }
    local first = served(self)
    self.replies['p1.test'] = { { status = 429, body = '{}' }, { status = 200 } }
    local second = served(self, SIGNED)
    assert.is_true(first ~= second)
    for _ = 1, 4 do assert.equal(second, served(self, SIGNED)) end
  end)
end)

it('without signatures, or without org, requests go to all keys in turn', function()
  strategy = 'round_robin'
  local self = new(FOUR)
  assert.equal('sk-a1 sk-a2 sk-b1 sk-b2', servants(self, 8))
  assert.equal('sk-1 sk-2', servants(new { key '1', key '2' }, 6, SIGNED))
end)

it('policies can read the organisation of a key', function()
  local self = stage.new {
    providers = { { name = 'p', type = 'anthropic', keys = { key('1', 'Research Inc.'), key '2' } } },
    policy = [[local relay = require 'ccrelay'
    return function(exchange)
      local list = relay.upstreams(exchange)
      relay.log('orgs ' .. tostring(list[1].org) .. ', ' .. tostring(list[2].org))
      return exchange:first(list)
    end]],
  }
  self:request()
  assert.equal(1, self:count 'orgs Research Inc., nil')
end)

describe('the log line', function()
  before_each(function() strategy = 'least_loaded' end)

  local function switch(keys, features, failing)
    local self = new(unpack(keys))
    served(self)
    for name, reply in pairs(failing) do self:reply(name, unpack(reply)) end
    served(self, features)
    return self:line().switched
  end

  local fail = { { status = 429, body = '{}' }, { status = 200 } }
  for what, case in pairs {
    key = { { { key('1', 'a'), key('2', 'a') } }, { p1 = fail } },
    org = { { { key('1', 'a'), key('2', 'b') } }, { p1 = fail } },
    provider = { { { key('1', 'a') }, { key('2', 'a') } }, { p1 = fail } },
  } do
    it('names a switch of the ' .. what .. ', and what it cost', function()
      assert.equal(what, switch(case[1], SIGNED, case[2]))
      assert.equal(what, switch(case[1], CACHED, case[2]))
    end)

    it('does not name a switch of the ' .. what .. ' if nothing is lost', function()
      assert.is_nil(switch(case[1], nil, case[2]))
    end)
  end

  it('names no switch if the key is the same, or the answer is an error', function()
    local self = new({ key('1', 'a') }, { key('2', 'b') })
    served(self)
    served(self, SIGNED)
    assert.is_nil(self:line().switched)
    local failed = { status = 500, body = '{"type":"error","error":{"type":"api_error","message":"m"}}' }
    self:reply('p1', failed)
    self:reply('p2', failed)
    served(self, SIGNED)
    assert.is_nil(self:line().switched)
    self:reply('p1', { status = 200 })
    self:reply('p2', { status = 200 })
    assert.equal('sk-1', served(self, SIGNED))
    assert.is_nil(self:line().switched)
  end)
end)

it('two conversations that share a cell replace each other, and neither is taken for the other', function()
  strategy = 'round_robin'
  local self = new { key('a1', 'a'), key('b1', 'b') }
  local function place(session) return affinity.of({ conversation = session, affinity = false }).cell end
  local index, other = 0
  repeat
    index = index + 1
    other = 'other ' .. index
  until place(other) == place 's-1'
  local other_key, seen = { id = 'p1/x', org_tag = 'x', provider = { name = 'p1' } }, {}
  served(self)
  for _ = 1, 4 do
    affinity.record({ affinity = affinity.of { conversation = other, affinity = false } }, other_key)
    assert.equal('p1/x', affinity.of({ conversation = other, affinity = false }).key)
    assert.is_nil(affinity.of({ conversation = 's-1', affinity = false }).key)
    seen[served(self, SIGNED)] = true
  end
  assert.same({ ['sk-a1'] = true, ['sk-b1'] = true }, seen)
  assert.is_nil(affinity.of({ conversation = other, affinity = false }).key)
end)

it('conversations share 1024 cells, and none is taken for another', function()
  local C, names = stage.C, {}
  local self = new(FOUR)
  for index = 1, 3000 do
    local exchange = { conversation = 'many ' .. index, affinity = false }
    local place = affinity.of(exchange)
    names[place.cell] = true
    affinity.record(exchange, self.current.providers[1].keys[1])
    assert.equal('p1/1', affinity.of({ conversation = 'many ' .. index, affinity = false }).key)
  end
  local count = 0
  for _ in pairs(names) do count = count + 1 end
  assert.is_true(count > 900 and count <= 1024, count)
  local lost = 0
  for index = 1, 3000 do
    if not affinity.of({ conversation = 'many ' .. index, affinity = false }).key then lost = lost + 1 end
  end
  assert.is_true(lost >= 3000 - 1024)
  assert.is_nil(affinity.of({ conversation = 'never seen', affinity = false }).key)
  assert.is_true(C.cc_cells() < 16384)
end)
