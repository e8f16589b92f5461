-- SPDX-License-Identifier: Apache-2.0
-- The minute's requests spread over the minute.
local config = require 'ccrelay.config'
local fake = require 'support.fake_c'
local stage = require 'support.stage'
local reservation = require 'ccrelay.limits.reservation'

local function new(key, routing, more)
  local settings = { name = stage.fresh('burst'):gsub(' ', '-'), type = 'anthropic', base_url = 'http://b.test',
    keys = { key } }
  local self = stage.new { providers = { settings, more }, routing = routing or { queue_ms = 120000 } }
  self.sent = {}
  self.replies['b.test'] = { function()
    self.sent[#self.sent + 1] = fake.C.cc_now()
    return { after = 10 }
  end }
  return self
end

local function at_once(self, count)
  local list = {}
  for index = 1, count do list[index] = {} end
  return { self:requests(unpack(list)) }
end

local function statuses(list)
  local text = {}
  for index, exchange in ipairs(list) do text[index] = exchange.answer.status end
  return table.concat(text, ' ')
end

it('a burst is sent at once, further requests a share of the minute apart', function()
  local self = new { key = 'k', rpm_limit = 60, burst = 3 }
  local start = fake.C.cc_now()
  assert.equal('200 200 200 200 200 200', statuses(at_once(self, 6)))
  for index, expected in ipairs { 0, 0, 0, 1000, 2000, 3000 } do
    local late = self.sent[index] - start - expected
    assert.is_true(late >= 0 and late < 10, index .. ': ' .. late)
  end
end)

it('further requests are refused without a queue, with the time of the next share', function()
  local self = new({ key = 'k', rpm_limit = 6, burst = 2 }, {})
  local list = at_once(self, 3)
  assert.equal('200 200 429', statuses(list))
  assert.equal('10', list[3].answer.headers['retry-after'])
end)

it('a refusal states when the limits have room, if that is later', function()
  local self = new({ key = 'k', rpm_limit = 60, burst = 1, otpm_limit = 1000 }, {})
  local big = { max_tokens = 900 }
  local _, second = self:requests({ body = big }, { at = 50, body = big })
  assert.equal(429, second.answer.status)
  assert.equal('60', second.answer.headers['retry-after'])
end)

it('another key serves meanwhile', function()
  local self = new({ key = 'k', rpm_limit = 60, burst = 1, priority = 2 }, nil,
    { name = 'other', type = 'anthropic', keys = { { key = 'o' } } })
  local list = at_once(self, 2)
  assert.equal('b.test', list[1].answer.origin)
  assert.equal('other.test', list[2].answer.origin)
end)

it('a request waits for the key whose share comes first', function()
  local self = new({ key = 'k', rpm_limit = 60, burst = 1, priority = 2 }, nil,
    { name = 'slow', type = 'anthropic', keys = { { key = 's', rpm_limit = 2, burst = 1 } } })
  local list = at_once(self, 3)
  assert.equal('b.test', list[3].answer.origin)
  assert.is_true(self.sent[2] - self.sent[1] < 1010)
end)

it('idle time restores shares, up to the burst', function()
  local self = new({ key = 'k', rpm_limit = 60, burst = 2 }, {})
  assert.equal('200 200 429', statuses(at_once(self, 3)))
  stage.advance(30000)
  assert.equal('200 200 429', statuses(at_once(self, 3)))
end)

it('without burst all requests are sent at once', function()
  assert.equal('200 200 200 200 200 429', statuses(at_once(new({ key = 'k', rpm_limit = 5 }, {}), 6)))
end)

it('a request that was never sent gives its share back', function()
  local self = new({ key = 'k', rpm_limit = 60, burst = 1 }, {})
  local answer = self.replies['b.test']
  self.replies['b.test'] = { { error = 'CC_EREFUSED' } }
  assert.equal(502, self:request().status)
  self.replies['b.test'] = answer
  assert.equal(200, self:request().status)
  assert.equal(429, self:request().status)
end)

it('a request that the limits refuse gives its share back', function()
  local self = new({ key = 'k', rpm_limit = 60, otpm_limit = 1000, burst = 3 }, {})
  local function ask(tokens) return self:request { body = { max_tokens = tokens } }.status end
  assert.equal(200, ask(900))
  for _ = 1, 3 do assert.equal(429, ask(900)) end
  assert.equal(200, ask(50))
  assert.equal(200, ask(40))
end)

it('a request refused by a learned limit gives back its share and its reservation', function()
  local self = new { key = 'k', rpm_limit = 60, otpm_limit = 1000, burst = 3 }
  self.replies['b.test'] = { { headers = { ['anthropic-ratelimit-output-tokens-limit'] = '100',
    ['anthropic-ratelimit-output-tokens-remaining'] = '0',
    ['anthropic-ratelimit-output-tokens-reset'] = os.date('!%Y-%m-%dT%H:%M:%SZ', fake.C.cc_time() / 1000 + 50) } } }
  assert.equal(200, self:request().status)
  local C, key, model = fake.C, self.current.providers[1].keys[1], 'claude-sonnet-4-5'
  local exchange = { model = model, max_tokens = 80, feature_bits = 0, estimate = function() return 10, 80 end,
    tokens_at = function() return 10 end }
  local function room() return { C.cc_cell_get(key.pacing), C.cc_limit_wait(key.limit, C.cc_now(), 0, 850, nil) } end
  local before = room()
  assert.equal(0, before[2])
  for _ = 1, 5 do assert.is_nil(reservation.reserve(exchange, key, model, C.cc_now())) end
  assert.same(before, room())
  assert.is_truthy(reservation.reserve(exchange, key, model, C.cc_now(), true))
  assert.are_not.same(before, room())
end)

it('burst without rpm_limit has no effect and gives a warning', function()
  local _, warnings = config.load { data = { providers = { { name = 'a', type = 'anthropic',
    keys = { { key = 'k' }, { key = 'l', burst = 3 } } } } }, env = function() end,
    adapters = { anthropic = { defaults = { base_url = 'http://a.test' } } } }
  assert.equal('providers[0].keys[1].burst', warnings[1].path)
  assert.equal('has no effect without rpm_limit', warnings[1].message)
  assert.equal('200 200 200', statuses(at_once(new { key = 'k', burst = 1 }, 3)))
end)
