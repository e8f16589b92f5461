-- SPDX-License-Identifier: Apache-2.0
local event_queue = require 'ccrelay.testing.event_queue'

describe('events', function()
  it('come by the time they are due, then in the order they were added, without those dropped', function()
    math.randomseed(7)
    local heap, expected = {}, {}
    for order = 1, 500 do
      local event = { due = math.random(40), order = order }
      event_queue.add(heap, event)
      if order % 3 == 0 then event.dropped = true else expected[#expected + 1] = event end
    end
    table.sort(expected, function(a, b) return a.due < b.due or a.due == b.due and a.order < b.order end)
    for index, event in ipairs(expected) do assert.equal(event, event_queue.take(heap), index) end
    assert.is_nil(event_queue.take(heap))
  end)

  it('may be added while others are taken', function()
    local heap, seen = {}, {}
    event_queue.add(heap, { due = 1, order = 1 })
    for order = 2, 6 do
      local event = event_queue.take(heap)
      seen[#seen + 1] = event.due
      event_queue.add(heap, { due = event.due + order, order = order })
    end
    assert.same({ 1, 3, 6, 10, 15 }, seen)
  end)
end)
