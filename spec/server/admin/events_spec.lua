-- SPDX-License-Identifier: Apache-2.0
-- The feed of the dashboard: one snapshot a second for all viewers, only if there are any.
local fake = require 'support.fake_c'
local admin = require 'ccrelay.server.admin'
local ffi = require 'ffi'
local json = require 'ccrelay.util.json'
local new = require 'support.admin_master'

local C = fake.C

local function arrive(master, more)
  local event = ffi.new 'struct cc_event'
  local request = { method = 'GET', path = '/events', headers = { host = 'localhost:8788' } }
  for name, value in pairs(more or {}) do request[name] = value end
  local exchange = fake.arrive(0, request)
  repeat assert(C.cc_next(nil, event)) until event.type == C.CC_EVENT_READY
  local id = event.id
  admin.answer(master, id)
  return exchange, id
end

-- Lets the next event of a type come to the master.
local function next_event(master, kind)
  local event = ffi.new 'struct cc_event'
  repeat
    if not C.cc_next(nil, event) then return false end
  until event.type == kind
  if kind == C.CC_EVENT_TIMER then admin.timer(master) end
  if kind == C.CC_EVENT_WRITABLE then admin.writable(master, event.id) end
  return true
end

local function events_of(exchange)
  local list = {}
  for name, data in exchange.answer.body:gmatch 'event: (%w+)\ndata: ([^\n]+)\n\n' do
    list[#list + 1] = { name = name, data = json.decode(data) }
  end
  return list
end

it('a viewer gets the past, then news each second, without secrets', function()
  local master = new()
  local exchange = arrive(master)
  assert.equal('text/event-stream', exchange.answer.headers['content-type'])
  next_event(master, C.CC_EVENT_TIMER)
  next_event(master, C.CC_EVENT_TIMER)
  local list = events_of(exchange)
  assert.same({ 'past', 'news', 'news' }, { list[1].name, list[2].name, list[3].name })
  assert.equal(3, list[1].data.relay.generation.number)
  assert.equal('one', list[2].data.providers[1].provider)
  assert.is_nil(exchange.answer.body:find('sk-one', 1, true))
end)

it('a snapshot is composed once for all viewers', function()
  local master, composed = new(), 0
  local one, other = arrive(master), arrive(master)
  local news = master.feed.snapshots.news
  function master.feed.snapshots.news(...)
    composed = composed + 1
    return news(...)
  end
  next_event(master, C.CC_EVENT_TIMER)
  assert.equal(1, composed)
  assert.same(events_of(one)[2], events_of(other)[2])
end)

it('nothing is composed when nobody looks', function()
  local master = new()
  local _, id = arrive(master)
  admin.done(master, id)
  next_event(master, C.CC_EVENT_TIMER)
  assert.is_false(next_event(master, C.CC_EVENT_TIMER))
end)

it('a viewer that reads slowly skips snapshots', function()
  local master = new()
  local exchange = arrive(master)
  exchange.slow_ms = 3500
  for _ = 1, 4 do next_event(master, C.CC_EVENT_TIMER) end
  assert.equal(2, #events_of(exchange))
  exchange.slow_ms = nil
  next_event(master, C.CC_EVENT_WRITABLE)
  next_event(master, C.CC_EVENT_TIMER)
  assert.equal(3, #events_of(exchange))
end)

it('the number of viewers is bounded', function()
  local master = new()
  for _ = 1, 16 do assert.equal(200, arrive(master).answer.status) end
  assert.equal(503, arrive(master).answer.status)
end)

it('one snapshot alone is JSON', function()
  local exchange = arrive(new(), { path = '/events?once' })
  assert.equal('application/json', exchange.answer.headers['content-type'])
  local told = json.decode(exchange.answer.body)
  assert.equal(3, told.relay.generation.number)
  assert.is_table(told.exchanges)
  assert.is_nil(told.fine)
end)
