-- SPDX-License-Identifier: Apache-2.0
local C = require 'ccrelay.c'
local labels = require 'ccrelay.log.labels'

-- Labels of their own for each test: shared memory outlasts it.
local serial = 0
local function fresh()
  serial = serial + 1
  return 'test' .. serial
end

-- The module as another worker has it, which knows nothing yet.
local function another()
  package.loaded['ccrelay.log.labels'] = nil
  local loaded = require 'ccrelay.log.labels'
  package.loaded['ccrelay.log.labels'] = labels
  return loaded
end

describe('the values of a label', function()
  it('are 64 at most, the others are "other"', function()
    local name = fresh()
    for number = 1, labels.MOST do assert.equal('v' .. number, labels.of(name, 'v' .. number, true)) end
    assert.equal('other', labels.of(name, 'one more', true))
    assert.equal('v7', labels.of(name, 'v7', true))
  end)

  it('take a place only if they may', function()
    local name = fresh()
    assert.equal('other', labels.of(name, 'a', false))
    assert.equal('a', labels.of(name, 'a', true))
    assert.equal('a', labels.of(name, 'a', false))
  end)

  it('leave half of the places to those that mean something', function()
    local name = fresh()
    for number = 1, 40 do labels.of_any(name, 'made up ' .. number) end
    assert.equal('made up 32', labels.of_any(name, 'made up 32'))
    assert.equal('other', labels.of_any(name, 'made up 33'))
    assert.equal('known', labels.of(name, 'known', true))
    assert.equal('known', labels.of_any(name, 'known'))
  end)

  it('are the same in all workers', function()
    local name, others = fresh(), another()
    labels.of(name, 'a', true)
    assert.equal('a', others.of(name, 'a', false))
    for number = 2, labels.MOST do others.of(name, 'v' .. number, true) end
    assert.equal('v64', labels.of(name, 'v64', false))
    assert.equal('other', labels.of(name, 'v65', true))
  end)

  it('are found although a worker died while it added one', function()
    local name = fresh()
    labels.of(name, 'a', true)
    C.cc_cell_add(C.cc_cell('labels:' .. name, #name + 7), 1) -- a place without a text
    labels.of(name, 'b', true)
    local others = another()
    for _, value in ipairs { 'a', 'b' } do assert.equal(value, others.of(name, value, false)) end
    assert.equal('c', others.of(name, 'c', true))
  end)

  it('are short and printable, and have no secret', function()
    local name = fresh()
    for _, value in ipairs { '', ('x'):rep(57), 'a"b', 'a\\b', 'a\nb', 'caf\195\169' } do
      assert.equal('other', labels.of(name, value, true), value)
    end
    assert.equal(('x'):rep(56), labels.of(name, ('x'):rep(56), true))
    local function clean(text) return (text:gsub('secret', '[redacted]')) end
    assert.equal('other', labels.of(name, 'a-secret', true, clean))
    assert.equal('a', labels.of(name, 'a', true, clean))
  end)
end)
