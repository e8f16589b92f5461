-- SPDX-License-Identifier: Apache-2.0
local fake = require 'support.fake_c'
local breaker = require 'ccrelay.health.breaker'
local evidence = require 'ccrelay.health.evidence'
local circuits_of = require 'ccrelay.health.circuits'
local connect_check = require 'ccrelay.health.connect_check'
local metrics = require 'ccrelay.log.metrics'
local stage = require 'support.stage'
local overview = require 'ccrelay.health.overview'

local REFUSED = { error = 'CC_EREFUSED' }
local INTERVAL, OPEN = 1000, 600000

-- A worker that looks after its providers as the master does, for so many intervals.
local function watched(more)
  local self = stage.new {
    providers = {
      { name = 'a', type = 'anthropic', keys = { { key = 'sk-a', priority = 2 } } },
      { name = 'b', type = 'anthropic', keys = { { key = 'sk-b', priority = 1 } } },
    },
    health = {
      health_check = { enabled = not (more and more.off), interval_ms = INTERVAL },
      circuit_breaker = { failure_threshold = 1, open_duration_ms = OPEN, half_open_probes = 1 },
    },
    env = more and more.env,
  }
  self.on_timer = function(_, number)
    assert.equal(connect_check.TIMER, number)
    self.rounds = self.rounds - 1
    connect_check.look(self.relay, self.current)
    if self.rounds == 0 then fake.C.cc_timer(self.relay, connect_check.TIMER, -1) end
  end
  return self
end

local function watch(self, rounds)
  self.rounds = rounds
  connect_check.later(self.relay, self.current)
  self:run()
end

local function asked(self) return #self.state.asked end

-- How often the first provider is tried by a request; the second serves.
local function sent(self)
  local _, exchange = self:request()
  return exchange.tries[1].origin.host == 'a.test' and 1 or 0
end

local function open(self, reply)
  self:reply('a', reply or REFUSED)
  assert.equal(1, sent(self))
  self:reply('a', { status = 200 })
  assert.equal(0, sent(self))
end

describe('a provider that could not be connected to', function()
  it('is tried by a request as soon as it accepts connections again', function()
    local self = watched()
    open(self)
    self.state.connect_checks['a.test'] = { REFUSED, REFUSED, {} }
    watch(self, 2)
    assert.equal(0, sent(self))
    watch(self, 1)
    assert.equal(3, asked(self))
    assert.equal(1, self:count 'provider accepts connections again provider=a')
    assert.equal(1, sent(self))
    assert.equal(1, sent(self))
  end)

  it('is checked once an interval, and not while a check is under way', function()
    local self = watched()
    open(self)
    self.state.connect_checks['a.test'] = { { error = 'CC_ETOTAL_TIMEOUT', after = 2.5 * INTERVAL } }
    watch(self, 7)
    assert.equal(3, asked(self))
  end)

  it('is not checked once its circuit is no longer open', function()
    local self = watched()
    open(self)
    self.state.connect_checks['a.test'] = { {} }
    watch(self, 3)
    assert.equal(1, asked(self))
  end)

  it('keeps a circuit open that opened again during the check', function()
    local self = watched()
    open(self)
    self.state.connect_checks['a.test'] = { function()
      local circuits = circuits_of.of(self.current.providers[1], 'claude-sonnet-4-5')
      breaker.open_until(circuits.failure, fake.C.cc_now() + 2 * OPEN)
      evidence.explain(circuits.failure)
      return {}
    end }
    watch(self, 1)
    assert.equal(1, asked(self))
    assert.equal(0, sent(self))
  end)

  it('is not checked when health checks are off', function()
    local self = watched { off = true }
    open(self)
    watch(self, 3)
    assert.equal(0, asked(self))
  end)

  it('is not checked through a proxy that would accept the connection itself', function()
    local self = watched { env = function(name) return name == 'HTTP_PROXY' and 'http://127.0.0.1:3128' or nil end }
    assert.equal(3128, self.current.providers[1].proxy.port)
    open(self)
    watch(self, 2)
    assert.equal(0, asked(self))
  end)

  it('is shown in status and metrics', function()
    local self = watched()
    assert.is_nil(overview.describe(self.current)[1].probe)
    open(self)
    self.state.connect_checks['a.test'] = { REFUSED, {} }
    watch(self, 1)
    stage.advance(3000)
    local probe = overview.describe(self.current)[1].probe
    assert.equal('the connection was refused', probe.reason)
    assert.equal(3000, probe.ago_ms)
    watch(self, 1)
    assert.is_nil(overview.describe(self.current)[1].probe.reason)
    local counters = metrics.counters()
    assert.equal(2, counters['probes:a'])
    assert.equal(1, counters['probe_failures:a'])
    assert.truthy(metrics.text({}):find('ccrelay_provider_probe_failures_total{provider="a"} 1', 1, true))
    assert.equal(1, sent(self))
    assert.is_nil(overview.describe(self.current)[1].probe)
  end)
end)

it('a provider that was reached but failed is not checked: its circuit stays open for its duration', function()
  local self = watched()
  open(self, { status = 500, body = '{}' })
  self.state.connect_checks['a.test'] = { {} }
  watch(self, 2)
  assert.equal(0, asked(self))
  assert.equal(0, sent(self))
end)
