-- SPDX-License-Identifier: Apache-2.0
local stage = require 'support.stage'
local fake = require 'support.fake_c'
local loop = require 'ccrelay.server.loop'

describe('an error in a script', function()
  local function broken(words)
    return stage.new { policy = 'return function(exchange) ' .. words .. ' end' }
  end

  it('ends its exchange and nothing else', function()
    local self = broken 'if exchange.model == "bad" then error("oh no") end return exchange:respond { body = "fine" }'
    local one, two, three = self:requests({ body = { model = 'bad' } }, {}, {})
    assert.equal(500, one.answer.status)
    assert.equal('fine', two.answer.body)
    assert.equal('fine', three.answer.body)
  end)

  it('gives the client an id, and logs the cause, the place and that id', function()
    local self = broken '\n\nerror("oh no")'
    local answer = self:request()
    assert.equal('api_error', answer.json.error.type)
    assert.is_nil(answer.body:find 'oh no')
    local id = answer.json.request_id:match '^req_ccr_(%x+)$'
    assert.equal(1, self:count('script error: policy.lua:3: oh no .*id=' .. id .. '.*traceback'))
    local fields = self:line()
    assert.equal(id, fields.id)
    assert.equal('script', fields.error)
  end)

  it('is logged without secrets', function()
    local self = stage.new { providers = { { name = 'a', type = 'anthropic',
      keys = { { key = 'correct-horse-battery' } } } },
      policy = 'return function() error("sk-ant-abc123 Bearer xyz token=tok correct-horse-battery") end' }
    self:request()
    local all = table.concat(self.lines, '\n')
    for _, secret in ipairs { 'abc123', 'xyz', 'tok ', 'correct-horse' } do assert.is_nil(all:find(secret, 1, true),
      secret) end
    assert.is_truthy(all:find('[redacted]', 1, true))
  end)

  for what, words in pairs { ['nil'] = 'error(nil)', ['a table'] = 'error({})', ['a number'] = 'error(1)' } do
    it('may be ' .. what, function()
      local self = broken(words)
      assert.equal(500, self:request().status)
      assert.equal(1, self:count 'script error')
    end)
  end

  it('is counted', function()
    local self = broken 'error("x")'
    self:request()
    self:request()
    assert.equal(2, stage.C.cc_cell_get(require('ccrelay.shared.cell').number 'count:script_errors'))
  end)

  it('in on_done does not affect the answer and the log line', function()
    local self = stage.new { policy = "return { route = function(exchange) return exchange:respond {} end, "
      .. "on_done = function() error('late') end }" }
    assert.equal(200, self:request().status)
    assert.equal(1, self:count 'script error: .*late')
    assert.equal(1, self:count ' exchange ')
  end)
end)

describe('on_done', function()
  it('gets a report of the exchange', function()
    local self = stage.new { policy = [[
      local relay = require 'ccrelay'
      return {
        route = function(exchange) return exchange:first(relay.upstreams(exchange)) end,
        on_done = function(exchange, report)
          relay.log(('done %s %d %d %s %d %d'):format(exchange.model, report.status, report.attempts,
            report.upstream.key_id, report.input_tokens, report.output_tokens))
        end,
      }]] }
    self:reply('one', { status = 200, usage = { input = 3, output = 4 } })
    self:request()
    assert.equal(1, self:count 'done claude%-sonnet%-4%-5 200 1 one/1 3 4')
  end)
end)

describe('the loop', function()
  it('reuses coroutines', function()
    local self = stage.new { policy = [[
      local relay = require 'ccrelay'
      return function(exchange) return exchange:try(relay.upstreams(exchange)[1]) end]] }
    local create = spy.on(coroutine, 'create')
    self:requests({}, { at = 10 }, { at = 20 }, { at = 30 })
    create:revert()
    assert.spy(create).was.called(1)
  end)

  it('gives every exchange the generation that is current at its start', function()
    local function answering(word)
      return { policy = 'return function(exchange) exchange:sleep(100) return exchange:respond { body = "' .. word
        .. '" } end' }
    end
    local self = stage.new(answering 'old')
    local new = stage.build(answering 'new')
    local first = fake.arrive(0, { body = '{"model":"m"}', headers = { host = 'localhost' } })
    local second = fake.arrive(50, { body = '{"model":"m"}', headers = { host = 'localhost' } })
    local old, turn = self.current, 0
    loop.run({}, { generation = function()
      turn = turn + 1
      return turn == 1 and old or new
    end })
    assert.equal('old', first.answer.body)
    assert.equal('new', second.answer.body)
  end)

  it('passes other events to the worker, and ends when a handler returns true', function()
    local self = stage.new()
    local heard = {}
    local worker = { generation = function() return self.current end }
    for _, name in ipairs { 'on_file', 'on_child', 'on_message', 'on_signal' } do
      worker[name] = function(_, detail) heard[#heard + 1] = name .. detail end
    end
    function worker.on_timer(_, number)
      heard[#heard + 1] = 'on_timer' .. number
      return true
    end
    local C = stage.C
    fake.post(C.CC_EVENT_FILE, 0, 1)
    fake.post(C.CC_EVENT_CHILD, 0, 2)
    fake.post(C.CC_EVENT_MESSAGE, 0, -1)
    fake.post(C.CC_EVENT_SIGNAL, 0, 15)
    fake.post(C.CC_EVENT_TIMER, 0, 3)
    fake.post(C.CC_EVENT_SIGNAL, 0, 9)
    loop.run({}, worker)
    assert.same({ 'on_file1', 'on_child2', 'on_message-1', 'on_signal15', 'on_timer3' }, heard)
  end)

  it('works without handlers', function()
    local self = stage.new()
    fake.post(stage.C.CC_EVENT_SIGNAL, 0, 15)
    fake.post(stage.C.CC_EVENT_OUTCOME, 77, 0)
    fake.post(stage.C.CC_EVENT_TIMER, 77, 0)
    assert.equal(200, self:request().status)
  end)

  it('writes a line for a request that was refused before Lua saw it', function()
    local self = stage.new()
    self:requests { refusal = stage.C.CC_EHEAD_SIZE }
    local fields = self:line()
    assert.equal('CC_EHEAD_SIZE', fields.error)
    assert.equal(1, self:count ' exchange ')
  end)

  it('is not woken early by an old timer', function()
    local self = stage.new { policy = 'return function(exchange) exchange:sleep(100) return exchange:respond {} end' }
    local exchange = fake.arrive(0, { body = '{"model":"m"}', headers = { host = 'localhost' } })
    local turns = 0
    loop.run({}, { generation = function()
      turns = turns + 1
      fake.post(stage.C.CC_EVENT_TIMER, 1, 0)
      return self.current
    end })
    assert.equal(1, turns)
    assert.equal(200, exchange.answer.status)
    assert.equal('100', self:line().total_ms)
  end)

  it('keeps nothing of exchanges that have ended', function()
    local self = stage.new()
    local kept = setmetatable({}, { __mode = 'k' })
    local route = self.current.policy.route
    self.current.policy.route = function(exchange)
      kept[exchange] = true
      return route(exchange)
    end
    self:requests({}, { gone_after = 0 }, { at = 5 })
    collectgarbage()
    collectgarbage()
    assert.is_nil(next(kept))
  end)
end)

describe('the counters', function()
  local cell = require 'ccrelay.shared.cell'
  local function count(name) return stage.C.cc_cell_get(cell.number('count:' .. name)) end

  it('are increased by exactly one', function()
    local self = stage.new { providers = {
      { name = 'cx', type = 'anthropic', keys = { { key = 'k' } } },
        { name = 'cy', type = 'anthropic', keys = { { key = 'k' } } } } }
    self:reply('cx', { status = 500, body = '{}' })
    self:reply('cy', { status = 200, usage = { input = 10, output = 20, cache_read = 30, cache_5m = 1, cache_1h = 2 } })
    self:request()
    assert.same({ 1, 1, 0, 2, 1, 1, 1, 0 }, { count 'exchanges', count 'status_2xx', count 'status_5xx',
      count 'attempts',
      count 'attempts:cx', count 'failures:cx', count 'attempts:cy', count 'failures:cy' })
    assert.same({ 13, 20, 30 }, { count 'tokens_input:cy', count 'tokens_output:cy', count 'tokens_cached:cy' })
  end)

  local function moved(self, request)
    local refused, malformed = count 'refused', count 'malformed'
    self:request(request)
    return { count 'refused' - refused, count 'malformed' - malformed }
  end

  it('distinguish requests without an upstream from malformed ones', function()
    local self = stage.new { providers = {
      { name = 'cr', type = 'anthropic', keys = { { key = 'k', rpm_limit = 1 } }, serves = { 'claude-*' } } } }
    self:reply('cr', { status = 200 })
    assert.same({ 0, 0 }, moved(self, {}))
    assert.same({ 1, 0 }, moved(self, {}))
    assert.same({ 1, 0 }, moved(self, { body = { model = 'foreign' } }))
    assert.same({ 0, 1 }, moved(self, { body = '{' }))
    assert.same({ 0, 1 }, moved(self, { headers = { ['content-encoding'] = 'x-unknown' } }))
    assert.same({ 0, 1 }, moved(self, { refusal = stage.C.CC_EHEAD_SIZE }))
    assert.same({ 0, 0 }, moved(self, { path = '/nothing' }))
  end)

  it('do not count errors of an upstream as refused', function()
    local self = stage.new { providers = { { name = 'cs', type = 'anthropic', keys = { { key = 'k' } } } } }
    self:reply('cs', { status = 500, body = '{}' })
    assert.same({ 0, 0 }, moved(self, {}))
  end)
end)
