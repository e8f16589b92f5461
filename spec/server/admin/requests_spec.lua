-- SPDX-License-Identifier: Apache-2.0
local stage = require 'support.stage'
local json = require 'ccrelay.util.json'
local records = require 'ccrelay.log.records'
local requests = require 'ccrelay.server.admin.requests'

local function provider(name)
  return { name = name, type = 'anthropic', keys = { { key = 'k-' .. name } } }
end

describe('GET /requests', function()
  local self, master

  local function list(query)
    local body, status, message = requests.answer(master, { rest = '', query = query or '' })
    if not body then return nil, status, message end
    return json.decode(body)
  end

  local function models(query)
    local told = {}
    for index, record in ipairs(list(query).requests) do told[index] = record.model end
    return table.concat(told, ' ')
  end

  local function ask(model, replies)
    self:reply('a', replies or { status = 200, body = '{}', usage = { input = 1000000, output = 1000000 } })
    return self:request { body = { model = model } }
  end

  before_each(function()
    self = stage.new { providers = { provider 'a', provider 'b' },
      routing = { prices = { ['a/*'] = { input = 1, output = 2 } } } }
    master = { generation = self.current, bundle = {}, number = 1 }
    self:reply('b', { status = 200, body = '{}', usage = { input = 1000000, output = 1000000 } })
    for _, model in ipairs { 'claude-1', 'claude-2', 'claude-3' } do ask(model) end
  end)

  it('lists records, newest first', function()
    assert.equal('claude-3 claude-2 claude-1', models 'limit=3')
    local told = list 'limit=1'
    assert.equal(64, told.kept)
    assert.equal(1, #told.requests)
    assert.equal('messages', told.requests[1].endpoint)
  end)

  it('filters by model, client, provider and status', function()
    ask('claude-1', { status = 400, body = '{}' })
    ask('claude-1', { status = 529, body = '{}' })
    assert.equal('claude-2', models 'model=claude-2&limit=1')
    assert.equal('claude-1', models 'provider=b&limit=1')
    assert.equal('claude-1', models 'status=400&limit=1')
    assert.equal('claude-1 claude-3', models 'status=2xx&limit=2')
    assert.equal('', models 'client=nobody')
    assert.equal('claude-1 claude-1', models 'model=claude%2D1&limit=2&status=')
  end)

  it('refuses parameters that it does not know', function()
    local told, status, message = list 'colour=red'
    assert.same({ nil, 400 }, { told, status })
    assert.equal('/requests has no parameter "colour"; there are client, model, provider, status, limit and open',
      message)
    for _, limit in ipairs { '0', 'x', '1001', 'nan', '-1', '1e2' } do
      assert.equal(400, select(2, list('limit=' .. limit)))
    end
  end)

  it('lists those under way', function()
    assert.same({}, list('open=true').requests)
  end)

  it('gives one record, with the cost at each candidate and the providers that were none', function()
    self = stage.new { providers = { provider 'a', provider 'b',
      { name = 'c', type = 'ollama', models = { 'qwen' } } },
      routing = { prices = { ['a/*'] = { input = 1, output = 2 } } } }
    master.generation = self.current
    ask 'claude-4'
    local record = json.decode(requests.answer(master, { rest = list('limit=1').requests[1].id, query = '' }))
    assert.equal('claude-4', record.model)
    assert.equal(3, record.candidates[1].cost)
    assert.is_nil(record.candidates[2].cost)
    assert.same({ 'c' }, record.others)
    assert.equal('failover', record.policy)
    assert.is_false(record.in_force)
  end)

  it('says how many are kept when there is none with the id', function()
    local body, status, message = requests.answer(master, { rest = 'nope', query = '' })
    assert.same({ nil, 404 }, { body, status })
    local most, count = records.kept()
    assert.equal(('no exchange has this id; the relay keeps the latest %d and has %d now'):format(most, count), message)
  end)
end)
