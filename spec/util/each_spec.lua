-- SPDX-License-Identifier: Apache-2.0
local each = require 'ccrelay.util.each'

-- Rounds of so many in which a walk within a walk, begun anew after a loop of another kind, misses entries. It ends
-- early where the compiler has first taken the inner walk and then given up the outer one. Each call compiles anew.
local CASE = [[
local each, rounds = ...
local inner, outer = { 1, 2, 3, 4, 5 }, {}
for index = 1, 5 do outer['name' .. index] = inner end
local function pause(...) for _ = 1, 100 do end end
local wrong = 0
for _ = 1, rounds do
  pause()
  local count = 0
  for _, list in WALK(outer) do
    for _ in WALK(list) do end
    count = count + 1
  end
  if count ~= 5 then wrong = wrong + 1 end
end
return wrong
]]

local function misses(walk, rounds)
  return assert(loadstring((CASE:gsub('WALK%((%w+)%)', walk))))(each, rounds)
end

describe('each', function()
  it('visits every entry, in compiled loops too', function()
    for _ = 1, 5 do assert.equal(0, misses('each(%1)', 20000)) end
  end)

  it('gives each name and value once, and nothing for an empty table', function()
    local seen = {}
    for name, value in each { 'x', 'y', a = 1, b = false } do seen[name] = value end
    assert.same({ 'x', 'y', a = 1, b = false }, seen)
    for _ in each {} do error 'there is nothing' end
  end)

  it('allows a loop to remove or change entries', function()
    local entries, count = {}, 0
    for index = 1, 100 do entries['name' .. index] = index end
    for name in each(entries) do entries[name], count = nil, count + 1 end
    assert.equal(100, count)
    assert.is_nil(next(entries))
  end)

  it('raises an error for what is not a table', function()
    assert.has_error(function() for _ in each(nil) do error 'there is nothing' end end)
  end)

  -- The figures of the last line tell when pairs may come back: when they are 0 on every distribution.
  it('is needed because pairs misses entries', function()
    local by_pairs, by_next = misses('pairs(%1)', 100000), misses('next, %1', 100000)
    print(('%s: of 100000 walks pairs cut short %d, next %d; ccrelay.each is %s'):format(jit.version, by_pairs, by_next,
      by_pairs + by_next > 0 and 'needed here' or 'not needed for this case here'))
    assert.equal(0, misses('each(%1)', 100000))
  end)
end)
