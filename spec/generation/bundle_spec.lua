-- SPDX-License-Identifier: Apache-2.0
local source = require 'ccrelay.generation.bundle'

local POLICY = "local relay = require 'ccrelay'\n"
  .. "relay.provider { name = 'x', type = 'zai', keys = { { key = '${CCRELAY_SPEC_UNSET_KEY}' } } }\n"
  .. 'return function(exchange) return exchange:first(relay.upstreams(exchange)) end\n'

local function bundle_of(changes)
  local bundle = assert(source.read { data = { providers = { { name = 'a', type = 'anthropic' } } }, insecure = true,
    watch = false })
  for name, value in pairs(changes) do bundle[name] = value end
  return bundle
end

describe('a bundle', function()
  local run = { insecure = true, watch = false }

  it('equals another only byte for byte', function()
    assert.is_true(source.same(bundle_of {}, bundle_of {}))
    local other = bundle_of {}
    other.scripts['providers/zai.lua'] = other.scripts['providers/zai.lua'] .. ' '
    assert.is_false(source.same(bundle_of {}, other))
    assert.is_false(source.same(bundle_of {}, bundle_of { policy = { path = 'p.lua', text = 'x' } }))
  end)

  it('reports the warnings of providers that a script declares', function()
    local built, notes = source.build(bundle_of { policy = { path = 'mine.lua', text = POLICY } }, run)
    assert.is_table(built)
    local texts = {}
    for index, note in ipairs(notes) do texts[index] = note.message end
    assert.truthy(table.concat(texts, '\n'):find('CCRELAY_SPEC_UNSET_KEY', 1, true))
  end)

  -- A trace would keep tables and parsers of the generation it was recorded with.
  it('is read and built without JIT traces', function()
    local recorded, on = {}, jit.status()
    local function note(what, _, func)
      if what == 'start' then recorded[#recorded + 1] = func end
    end
    local yaml = { path = 'c.yaml', text = 'providers: [{name: a, type: anthropic, keys: [{key: x}]}]\n' }
    jit.on()
    jit.attach(note, 'trace')
    local count = 0
    for _ = 1, 100 do
      local bundle = source.read(run)
      bundle.config = yaml
      count = count + (source.build(bundle, run) and 1 or 0)
    end
    jit.attach(note)
    assert.equal(100, count)
    assert.is_true((jit.status()))
    if not on then jit.off() end
    for _, func in ipairs(recorded) do
      local place = require('jit.util').funcinfo(func).source
      local outside = place:find('source.lua', 1, true) or not place:find('lua/ccrelay/', 1, true)
      assert.is_truthy(outside, place)
    end
  end)

  it('holds the adapters with their schemas', function()
    assert.is_table(source.adapters(true).ollama)
  end)

  it('turns an unexpected error into a fault', function()
    local policy = { path = 'mine.lua', text = POLICY }
    local built, faults = source.build({ policy = policy }, run)
    assert.is_nil(built)
    assert.equal('mine.lua', faults[1].file)
    assert.truthy(faults[1].message:find('cannot be loaded', 1, true))
    local bundle, unread = source.read({ policy = 5 })
    assert.is_nil(bundle)
    assert.truthy(unread[1].message:find('cannot be loaded', 1, true))
  end)

  it('names the file with the fault', function()
    local built, faults = source.build(bundle_of { policy = { path = 'mine.lua', text = '\nreturn (' } }, run)
    assert.is_nil(built)
    assert.equal('mine.lua', faults[1].file)
    assert.equal(2, faults[1].line)
  end)
end)
