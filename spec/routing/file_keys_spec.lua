-- SPDX-License-Identifier: Apache-2.0
-- Which key made a file or batch, and who gets requests for it.
local stage = require 'support.stage'

local file_keys = require 'ccrelay.routing.file_keys'

local function provider(name, keys, more)
  local entry = { name = name, type = 'anthropic', keys = {} }
  for index, key in ipairs(keys) do entry.keys[index] = { key = key } end
  for member, value in pairs(more or {}) do entry[member] = value end
  return entry
end

local function keys_of(exchange)
  local keys = {}
  for index, attempt in ipairs(exchange.tries) do keys[index] = attempt.headers['x-api-key'] end
  return table.concat(keys, ' ')
end

local function naming(id)
  return '{"model":"claude-x","max_tokens":1,"messages":[{"role":"user","content":'
    .. '[{"type":"document","source":{"type":"file","file_id":"' .. id .. '"}}]}]}'
end

-- Has the stage's providers make a file with this id.
local function upload(self, host, id)
  self:reply(host, { status = 200, body = '{"id":"' .. id .. '","type":"file"}' }, { status = 200 })
  return self:request { path = '/v1/files', body = 'x' }
end

local function attached(self)
  self:generation():attach()
  return self:generation()
end

local function maker(self, id)
  local key = file_keys.find(attached(self), id)
  return key and key.secret
end

describe('the key that created a file', function()
  it('is remembered by its provider and secret', function()
    local self = stage.new { providers = { provider('a', { 'sk-1', 'sk-2' }) } }
    local keys = attached(self).providers[1].keys
    assert.is_nil(maker(self, 'file_made_1'))
    file_keys.note('file_made_1', keys[2])
    file_keys.note('file_made_2', keys[1])
    assert.equal('sk-2', maker(self, 'file_made_1'))
    assert.equal('sk-1', maker(self, 'file_made_2'))
    self:use { providers = { provider('a', { 'sk-2', 'sk-1' }) } }
    assert.equal('sk-2', maker(self, 'file_made_1'))
    self:use { providers = { provider('a', { 'sk-1' }) } }
    assert.is_nil(maker(self, 'file_made_1'))
    self:use { providers = { provider('other', { 'sk-2' }) } }
    assert.is_nil(maker(self, 'file_made_1'))
  end)

  it('is forgotten when other ids have taken its cell', function()
    local self = stage.new { providers = { provider('a', { 'sk-1' }) } }
    local key = attached(self).providers[1].keys[1]
    file_keys.note('file_lost', key)
    for index = 1, 60000 do file_keys.note('file_later_' .. index, key) end
    assert.is_nil(maker(self, 'file_lost'))
  end)

  it('is the only one that gets messages that name the file, whatever fails there', function()
    local self = stage.new { providers = { provider('a', { 'sk-1', 'sk-2' }), provider('b', { 'sk-3' }) } }
    upload(self, 'a', 'file_alone')
    self:use { providers = { provider('b', { 'sk-3' }), provider('a', { 'sk-2', 'sk-1' }) } }
    for _, path in ipairs { '/v1/messages', '/v1/messages/count_tokens' } do
      self:reply('a', { status = 529, body = '{}' })
      local _, exchange = self:request { path = path, body = naming 'file_alone' }
      assert.equal('sk-1', keys_of(exchange):match '^%S+')
      assert.is_nil(keys_of(exchange):find 'sk%-[23]')
    end
    local _, exchange = self:request { method = 'GET', path = '/v1/files/file_alone' }
    assert.equal('sk-1', keys_of(exchange))
  end)

  it('is taken to be the first key of the first provider with files if the file is unknown', function()
    local self = stage.new { providers = { { name = 'z', type = 'zai', keys = { { key = 'sk-z', priority = 9 } } },
      provider('a', { 'sk-1', 'sk-2' }) } }
    local _, exchange = self:request { body = naming 'file_unknown' }
    assert.equal('sk-1', keys_of(exchange))
    _, exchange = self:request { body = naming '' }
    assert.equal('sk-z', keys_of(exchange))
  end)

  it('does not matter if its provider does not serve the model', function()
    local self = stage.new { providers = { provider('a', { 'sk-1' }, { serves = { 'claude-y' } }),
      { name = 'z', type = 'zai', keys = { { key = 'sk-z' } } } } }
    upload(self, 'a', 'file_other')
    local _, exchange = self:request { body = naming 'file_other' }
    assert.equal('z.test', exchange.tries[1].origin.host)
  end)

  it('does not matter for clients with a credential of their own', function()
    local self = stage.new { providers = { provider('a', { 'sk-1' }, { transparent = true }) } }
    upload(self, 'a', 'file_own')
    local _, exchange = self:request { body = naming 'file_own', headers = { authorization = 'Bearer theirs' } }
    assert.equal('Bearer theirs', exchange.tries[1].headers.authorization)
  end)
end)
