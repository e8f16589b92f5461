-- SPDX-License-Identifier: Apache-2.0
-- The exporter of spans: what it reads, when it sends, and how it handles spans that cannot be sent.
local fake = require 'support.fake_c'
local cell = require 'ccrelay.shared.cell'
local exporter = require 'ccrelay.traces.exporter'
local fetch = require 'ccrelay.net.fetch'
local json = require 'ccrelay.util.json'
local records = require 'ccrelay.log.records'
local series = require 'ccrelay.log.series'
local stage = require 'support.stage'

local C = fake.C
local read, send, before = records.read, fetch.send, {}
local inbox, lost, replies, asked, said

local function traced(number)
  return { number = number, trace_id = ('a'):rep(32), span_id = ('b'):rep(16), at = 1e12, total_ms = 1, status = 200,
    attempts = {} }
end

before_each(function()
  stage.new()
  inbox, lost, replies, asked, said = {}, 0, {}, {}, {}
  records.read = function(from, most)
    local list = {}
    while #inbox > 0 and #list < most do list[#list + 1] = table.remove(inbox, 1) end
    local gone = lost
    lost = 0
    return list, list[#list] and list[#list].number + 1 or from, gone
  end
  fetch.send = function(spec)
    asked[#asked + 1] = spec
    local reply = table.remove(replies, 1) or { status = 200 }
    if reply.message then return nil, reply.message end
    return { status = reply.status, body = reply.body or '{}', header = function() return reply.retry_after end }
  end
  before.cc_records_next = rawget(C, 'cc_records_next')
  C.cc_records_next = function() return 7 end
  C.cc_cell_set(C.cc_cell('traces:next', 11), 0)
end)

after_each(function()
  records.read, fetch.send, C.cc_records_next = read, send, before.cc_records_next
end)

local function new()
  return exporter.new({ endpoint = 'http://collector:4318/v1/traces', headers = { ['X-Team'] = 'a' }, service = 's',
    providers = {} }, function(level, text) said[#said + 1] = level .. ': ' .. text end)
end

local function dropped()
  local found = {}
  for _, sample in ipairs(series.read().spans_dropped_total or {}) do found[sample.labels] = sample.value end
  return found
end

-- How many spans were dropped for a reason while the function ran.
local function drops(reason, go)
  local labels = ('{reason="%s"}'):format(reason)
  local known = dropped()[labels] or 0
  go()
  return (dropped()[labels] or 0) - known
end

local function put(count)
  for number = 1, count do inbox[#inbox + 1] = traced(number + 10) end
end

local function spans_in(spec)
  return json.decode(spec.body).resourceSpans[1].scopeSpans[1].spans
end

describe('the exporter', function()
  it('sends what has waited for a second, or a batch at once', function()
    local self = new()
    put(2)
    self:read()
    assert.is_false(self:is_due())
    stage.advance(1000)
    assert.is_true(self:is_due())
    put(600)
    self:read()
    self:send()
    assert.equal(512, #spans_in(asked[1]))
    assert.is_false(self:is_due())
    stage.advance(1000)
    self:send()
    assert.equal(90, #spans_in(asked[2]))
    assert.equal(0, self.count)
    assert.same({ ['content-type'] = 'application/json', ['x-team'] = 'a' }, asked[1].headers)
    assert.same({ 'POST', 'http://collector:4318/v1/traces' }, { asked[1].method, asked[1].url })
  end)

  it('sends valid UTF-8 whatever a model is named', function()
    local self, record = new(), traced(1)
    record.model, record.endpoint = 'a\255b', 'messages'
    record.attempts = { { provider = 'p', key = 'p', model = 'a\255b', at_ms = 0, total_ms = 1, raced = false,
      span_id = ('c'):rep(16), error = 'x', detail = '\255' } }
    inbox = { record }
    self:read()
    self:send()
    assert.is_nil(asked[1].body:find('\255', 1, true))
    assert.equal('chat a\239\191\189b', spans_in(asked[1])[2].name)
  end)

  it('leaves out what is not traced', function()
    local self = new()
    inbox = { { number = 3, attempts = {} } }
    self:read()
    assert.equal(0, self.count)
  end)

  it('begins with the next record, and after a death goes on behind the last that was sent', function()
    assert.equal(7, new().from)
    local self = new()
    put(3)
    self:read()
    self:send()
    assert.equal(14, new().from)
  end)

  it('sends again what the collector could not take, after growing pauses', function()
    local self = new()
    put(1)
    self:read()
    for _, reply in ipairs { { status = 503 }, { message = 'refused' }, { status = 429 } } do replies = { reply }
      local pause = self.pause_ms
      self:send()
      assert.equal(1, self.count)
      local wait = self.pause_until - C.cc_now()
      assert.is_true(wait >= pause / 2 and wait <= pause, wait .. ' of ' .. pause)
    end
    assert.equal(8000, self.pause_ms)
    replies = { {} }
    replies[1].status = 200
    self:send()
    assert.same({ 0, 1000 }, { self.count, self.pause_ms })
    assert.same({ 'warn: spans cannot be sent: the collector answered with status 503',
      'warn: spans cannot be sent: refused', 'warn: spans cannot be sent: the collector answered with status 429',
      'info: spans can be sent again' }, said)
  end)

  it('waits as long as the collector says, 30 s at most', function()
    for text, expected in pairs { ['3'] = 3000, ['0'] = 0, ['900'] = 30000 } do
      local self = new()
      put(1)
      self:read()
      replies = { { status = 503, retry_after = text } }
      self:send()
      assert.equal(expected, self.pause_until - C.cc_now())
    end
  end)

  it('drops and counts what the collector refuses', function()
    local self = new()
    put(3)
    self:read()
    replies = { { status = 400 } }
    assert.equal(3, drops('refused', function() self:send() end))
    assert.equal(0, self.count)
    put(3)
    self:read()
    replies = { { status = 200, body = '{"partialSuccess":{"rejectedSpans":"2","errorMessage":"old"}}' } }
    assert.equal(2, drops('refused', function() self:send() end))
    assert.equal('warn: spans cannot be sent: the collector refused some: old', said[#said])
    -- No more than were sent, whatever the collector says.
    for count, expected in pairs { inf = 3, nan = 0, ['-1'] = 0, ['1.5'] = 1, ['1e300'] = 3, ['0x2'] = 2, many = 0 } do
      put(3)
      self:read()
      replies = { { status = 200, body = '{"partialSuccess":{"rejectedSpans":"' .. count .. '"}}' } }
      local sent = C.cc_cell_get(cell.number 'count:spans_sent')
      assert.equal(expected, drops('refused', function() self:send() end), count)
      assert.equal(expected > 0 and 'the collector refused some: no reason given', self.fault)
      assert.equal(3 - expected, C.cc_cell_get(cell.number 'count:spans_sent') - sent, count)
    end
  end)

  it('tells what the collector said, without the secrets of its headers, and not at length', function()
    local self = new()
    self:follow { endpoint = 'http://collector:4318', headers = { authorization = 'Bearer CANARY-5150' }, service = 's',
      providers = {} }
    put(1)
    self:read()
    local words = ('bad CANARY-5150 %s'):format(('y'):rep(1000))
    replies = { { status = 200, body = '{"partialSuccess":{"rejectedSpans":1,"errorMessage":"' .. words .. '"}}' } }
    self:send()
    assert.match('^the collector refused some: bad %[redacted%] yyy', self.fault)
    assert.equal(300, #self.fault)
    assert.equal('warn: spans cannot be sent: ' .. self.fault, said[#said])
  end)

  it('keeps 8192 spans while the collector is away, and counts the others', function()
    local self = new()
    put(8200)
    assert.equal(8, drops('queue_full', function() self:read() end))
    assert.equal(8192, self.count)
  end)

  it('counts records that were overwritten before it read them', function()
    local self = new()
    lost = 5
    assert.equal(5, drops('records_lost', function() self:read() end))
  end)
end)

describe('its settings', function()
  it('are nil without traces.endpoint', function()
    assert.is_nil(exporter.settings {})
    assert.is_nil(exporter.settings { traces = { headers = {} } })
  end)

  it('have the names of providers by their types', function()
    local settings = exporter.settings { traces = { endpoint = 'http://c', service_name = 's' },
      providers = { { name = 'a', type = 'bedrock' }, { name = 'b', type = 'zai' } } }
    assert.same({ a = 'aws.bedrock', b = 'zai' }, settings.providers)
  end)
end)
