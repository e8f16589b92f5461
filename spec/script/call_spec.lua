-- SPDX-License-Identifier: Apache-2.0
local call = require 'ccrelay.script.call'
local each = require 'ccrelay.util.each'
local file = require 'ccrelay.config.file'
local sandbox = require 'ccrelay.script.sandbox'

local unbounded = string.find

-- What a method of strings is now: a script has the bounded one.
local function is_bounded() return ('').find ~= unbounded end

describe('ccrelay.script.call', function()
  after_each(function() sandbox.leave() end)

  it('bounds string methods while a policy runs, and not afterwards', function()
    assert.is_true(call.policy(is_bounded))
    assert.is_false(is_bounded())
  end)

  it('gives an adapter the unbounded string methods', function()
    assert.is_false(call.adapter(is_bounded))
    assert.is_true(call.was_adapter())
  end)

  it('passes arguments and results', function()
    local function both(...) return select('#', ...), ... end
    for _, caller in each { call.policy, call.adapter } do
      assert.same({ 3, 1, nil, 3 }, { caller(both, 1, nil, 3) })
    end
  end)

  it('restores the library after an error', function()
    assert.same({ false, 'no' }, { call.pcall(call.policy, error, 'no', 0) })
    assert.is_false(is_bounded())
    assert.same({ false, 'no!' }, { call.xpcall(call.policy, function(text) return text .. '!' end, error, 'no', 0) })
    assert.is_false(is_bounded())
  end)

  it('restores the library after a coroutine yields or fails', function()
    local thread = coroutine.create(function()
      sandbox.enter()
      coroutine.yield(is_bounded())
      sandbox.enter()
      error('no', 0)
    end)
    for _, result in ipairs { { true, true }, { false, 'no' } } do
      assert.same(result, { call.resume(thread) })
      assert.is_false(is_bounded())
    end
  end)

  it('returns from the library to the script', function()
    local seen = call.library(function(given) return given, is_bounded() end)
    assert.same({ 7, false, true }, { call.policy(function()
      local given, inside = seen(7)
      return given, inside, is_bounded()
    end) })
  end)

  it('is the only module that enters and leaves the sandbox', function()
    local found = {}
    local pipe = assert(io.popen('find lua -name "*.lua"'))
    for path in pipe:lines() do
      local text = assert(file.read(path))
      for name in text:gmatch 'sandbox%.([%a_]+)' do
        local changes = name == 'enter' or name == 'leave' or name == 'resume' or name == 'call'
        if changes and path ~= 'lua/ccrelay/script/call.lua' then found[#found + 1] = path .. ': sandbox.' .. name end
      end
    end
    pipe:close()
    assert.same({}, found)
  end)
end)
