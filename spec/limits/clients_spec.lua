-- SPDX-License-Identifier: Apache-2.0
-- What named clients may use.
local stage = require 'support.stage'
local clients = require 'ccrelay.limits.clients'
local fake = require 'support.fake_c'

local function new(fields, more)
  local alice = { name = stage.fresh('alice'):gsub(' ', '-'), key = 'alice-key' }
  for name, value in pairs(fields) do alice[name] = value end
  return stage.new {
    server = { auth = { clients = { alice, { name = 'bob', key = 'bob-key' } } } }, policy = more and more.policy,
  }, alice.name
end

local function from(key, more)
  local request = { headers = { ['x-api-key'] = key .. '-key' } }
  for name, value in pairs(more or {}) do request[name] = value end
  return request
end

local function statuses(self, count, key, more)
  local list = {}
  for index = 1, count do list[index] = self:request(from(key or 'alice', more)).status end
  return table.concat(list, ' ')
end

it('requests per minute are limited for each client separately', function()
  local self, name = new { rpm_limit = 2 }
  assert.equal('200 200 429', statuses(self, 3))
  assert.equal('200 200 200', statuses(self, 3, 'bob'))
  local answer = self:request(from 'alice')
  assert.equal('rate_limit_error', answer.json.error.type)
  assert.is_truthy(answer.json.error.message:find('client "' .. name .. '" has reached its limit per minute', 1, true))
  assert.is_true(tonumber(answer.headers['retry-after']) >= 1)
  stage.advance(61000)
  assert.equal('200', statuses(self, 1))
end)

it('tokens per minute count the actual usage', function()
  local self = new { tpm_limit = 3000 }
  self:reply('one', { usage = { input = 100, output = 100 } })
  assert.equal('200 200 200 200 200 200', statuses(self, 6))
  self:reply('one', { usage = { input = 100, output = 2500 } })
  assert.equal('200 429', statuses(self, 2))
end)

it('a request that was never sent is refunded', function()
  local self = new({ rpm_limit = 1 }, { policy = 'return function(exchange) return exchange:respond {} end' })
  assert.equal('200 200 200', statuses(self, 3))
end)

it('concurrent exchanges are limited', function()
  local self = new { max_concurrent = 2 }
  self:reply('one', { after = 1000 })
  local one, two, three, later = self:requests(from 'alice', from 'alice', from('alice', { at = 10 }),
    from('alice', { at = 2000 }))
  assert.same({ 200, 200, 429, 200 },
    { one.answer.status, two.answer.status, three.answer.status, later.answer.status })
end)

it('a client that disconnects frees its place', function()
  local self = new { max_concurrent = 1 }
  self:reply('one', { after = 1000 })
  local _, later = self:requests(from('alice', { gone_after = 10 }), from('alice', { at = 20 }))
  assert.equal(200, later.answer.status)
end)

it('a request refused by the limit per minute takes no place', function()
  local self = new { max_concurrent = 1, rpm_limit = 1 }
  assert.equal('200 429 429', statuses(self, 3))
  stage.advance(61000)
  assert.equal('200', statuses(self, 1))
end)

it('exchanges that were open in a worker that died are no longer counted', function()
  local self, name = new { max_concurrent = 1 }
  local cell = require('ccrelay.shared.cell').number('open:0:' .. name)
  fake.C.cc_cell_set(cell, 1)
  assert.equal('429', statuses(self, 1))
  clients.attach(0, self.current.configuration)
  assert.equal('200', statuses(self, 1))
end)
