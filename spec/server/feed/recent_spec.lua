-- SPDX-License-Identifier: Apache-2.0
-- Figures of the last minutes by provider and key.
local recent = require 'ccrelay.server.feed.recent'

local NOW = 1764556800000

local function record(more)
  local made = {
    at = NOW - 1000, total_ms = 500, endpoint = 'messages', status = 200, stream = true, provider = 'b',
    first_byte_ms = 80,
    attempts = {
      { provider = 'a', key = 'a/1', at_ms = 0, status = 529, error = 'overloaded_error' },
      { provider = 'b', key = 'b/1', at_ms = 20, status = 200, first_byte_ms = 60 },
    },
  }
  for name, value in pairs(more or {}) do made[name] = value end
  return made
end

local function of(...)
  local self = recent.new()
  for _, one in ipairs { ... } do self:add(one, NOW) end
  return self
end

it('attempts and failures are counted by provider and key', function()
  local self = of(record(), record())
  assert.same({ attempts = 2, failures = 2 }, self:attempts 'a')
  assert.same({ attempts = 2, failures = 0 }, self:attempts 'b/1')
  assert.same({ attempts = 0, failures = 0 }, self:attempts 'c')
end)

it('an attempt that lost a race has not failed', function()
  local self = of(record { attempts = { { provider = 'a', key = 'a/1', at_ms = 0, error = 'x', raced = true } } })
  assert.same({ attempts = 1, failures = 0 }, self:attempts 'a')
end)

it('a key that has the name of its provider counts once', function()
  local self = of(record { attempts = { { provider = 'a', key = 'a', at_ms = 0, status = 200 } } })
  assert.equal(1, self:attempts('a').attempts)
end)

it('times to the first event are those of streams, without pings before the answer', function()
  local list = {}
  for number = 1, 20 do list[number] = record { first_byte_ms = number * 100 } end
  list[21] = record { stream = false, first_byte_ms = 90000 }
  assert.same({ p50 = 1000, p95 = 1900 }, of(unpack(list)):first_event 'b')
  assert.is_nil(of():first_event 'b')
  assert.equal(80, of(record { first_byte_ms = 5 }):first_event('b').p50)
end)

it('what is older than five minutes is forgotten', function()
  local self = of(record(), record { at = NOW - 400000 })
  assert.equal(1, self:attempts('a').attempts)
  self:forget(NOW + 400000)
  assert.equal(0, self:attempts('a').attempts)
  assert.is_nil(next(self.slots))
end)

it('the latest exchanges are kept, without those of the admin or health pages', function()
  local self = recent.new()
  for number = 1, 300 do self:add(record { number = number }, NOW) end
  self:add({ at = NOW, total_ms = 1, status = 200, attempts = {} }, NOW)
  local last = self:last(20)
  assert.same({ 20, 281, 300 }, { #last, last[1].number, last[20].number })
  assert.is_true(#self.latest <= 100)
  assert.equal(300, self.count)
end)
