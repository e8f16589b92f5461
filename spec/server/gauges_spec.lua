-- SPDX-License-Identifier: Apache-2.0
local each = require 'ccrelay.util.each'
local families = require 'ccrelay.log.families'
local gauges = require 'ccrelay.server.gauges'
local stage = require 'support.stage'
local suspension = require 'ccrelay.health.suspension'

local current = stage.new().current

local function of(more)
  local master = {
    generation = current, workers = 0, started = 1764556800250, number = 3, reloads = 2, failed = 1, restarts = 4,
  }
  for name, value in each(more or {}) do master[name] = value end
  return gauges.of(master)
end

local function value(facts, name) return facts[name][1].value end

describe('gauges', function()
  it('are all in the list of metrics', function()
    local known = {}
    for _, family in ipairs(families) do known[family.name] = true end
    for name in each(of()) do assert.is_true(known[name], name) end
  end)

  it('show the state of the master, under the old names and the new', function()
    local facts = of()
    assert.same({ 2, 2, 1, 1, 4, 4 }, { value(facts, 'reloads'), value(facts, 'config_reloads_total'),
      value(facts, 'reloads_refused'), value(facts, 'config_reloads_refused_total'), value(facts, 'worker_restarts'),
      value(facts, 'workers_replaced_total') })
    assert.same({ 3, 1764556800.25 }, { value(facts, 'generation'), value(facts, 'start_time_seconds') })
    assert.matches('^{version="%d+%.%d+', facts.build_info[1].labels)
  end)

  it('tell whether the last reload was refused', function()
    assert.equal(1, value(of(), 'config_last_reload_successful'))
    assert.equal(0, value(of { last_fault = 'a fault' }, 'config_last_reload_successful'))
  end)

  it('tell which keys are suspended', function()
    local key = current.providers[1].keys[1]
    current:attach()
    assert.equal(0, value(of(), 'key_suspended'))
    suspension.suspend(key, 'unauthorized', 'authentication_error')
    local facts = of()
    assert.same({ labels = ('{provider="%s",key="%s"}'):format(current.providers[1].name, key.id), value = 1 },
      facts.key_suspended[1])
    assert.equal(0, value(facts, 'key_ready'))
  end)
end)
