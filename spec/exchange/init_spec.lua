-- SPDX-License-Identifier: Apache-2.0
local stage = require 'support.stage'

-- Runs a policy whose words are the body of its function; what it passes to relay.log is told.
local function run(words, request, options)
  options = options or {}
  options.policy = "local relay = require 'ccrelay'\nreturn function(exchange)\n" .. words .. '\nend'
  local self = stage.new(options)
  local answer, exchange = self:request(request)
  local told = {}
  for _, line in ipairs(self.lines) do told[#told + 1] = line:match ' info  (told .*)$' end
  return answer, exchange, table.concat(told, '\n'), self
end

local function tells(expression, request)
  local _, _, told, self = run('relay.log("told " .. tostring(' .. expression .. ')) return exchange:respond {}',
    request)
  assert.equal(0, self:count 'script error', table.concat(self.lines, '\n'))
  return told:match '^told (.*)$'
end

describe('views of an exchange', function()
  local headers = {
    ['X-Claude-Code-Session-Id'] = 's1', ['x-claude-code-request-class'] = 'main', ['x-claude-code-agent-id'] = 'a1',
    ['x-claude-code-agent-type'] = 'Plan', ['x-claude-code-parent-agent-id'] = 'p1', ['X-Odd'] = 'odd',
    ['x-claude-code-prompt-id'] = 'q1', ['x-claude-code-compaction'] = 'auto',
    ['x-claude-code-context-compacted'] = 'manual', ['x-claude-code-prev-tool-durations'] = 'Bash=742;Read=9',
  }

  it('tell of the request line', function()
    local request = { path = '/v1/messages?beta=true' }
    assert.equal('POST /v1/messages beta=true 127.0.0.1',
      tells('exchange.method .. " " .. exchange.path .. " " .. exchange.query .. " " .. exchange.peer', request))
  end)

  it('tell of headers, in any case', function()
    assert.equal('odd odd nil', tells('exchange.header["x-odd"] .. " " .. exchange.header["X-ODD"] .. " " .. '
      .. 'tostring(exchange.header.absent)', { headers = headers }))
  end)

  for view, value in pairs { session = 's1', class = 'main', agent = 'a1', agent_type = 'Plan', parent_agent = 'p1',
    prompt_id = 'q1', compaction = 'auto', context_compacted = 'manual' } do
    it('tell the ' .. view, function() assert.equal(value, tells('exchange.' .. view, { headers = headers })) end)
  end

  it('tell how long tools took', function()
    assert.equal('751', tells('exchange.tool_durations.Bash + exchange.tool_durations.Read', { headers = headers }))
    assert.equal('nil', tells 'exchange.tool_durations')
    assert.equal('nil', tells('exchange.tool_durations', { headers = { ['x-claude-code-prev-tool-durations'] = 'x' } }))
  end)

  it('tell model, stream and max_tokens', function()
    assert.equal('m true 7', tells('exchange.model .. " " .. tostring(exchange.stream) .. " " .. exchange.max_tokens',
      { body = { model = 'm', stream = true, max_tokens = 7 } }))
    assert.equal('false', tells 'exchange.stream')
  end)

  it('decode the model\'s escapes', function()
    assert.equal('a/b', tells('exchange.model', { body = '{"model":"a\\/b"}' }))
  end)

  it('tell of signatures', function()
    assert.equal('true', tells('exchange.has_signatures', { features = { 'signatures' } }))
    assert.equal('false', tells 'exchange.has_signatures')
  end)

  it('estimate tokens from the bytes of the body', function()
    local body = '{"model":"m","x":"' .. ('y'):rep(380) .. '"}'
    assert.equal(tostring(math.ceil(#body / 4)), tells('exchange.tokens_estimate', { body = body }))
  end)

  it('tell the name of the client', function()
    local options = { server = { auth = { clients = { { name = 'alice', key = 'alice-key' } } } } }
    local _, _, told = run('relay.log("told " .. exchange.client) return exchange:respond {}',
      { headers = { ['x-api-key'] = 'alice-key' } }, options)
    assert.equal('told alice', told)
  end)

  it('give members of the body', function()
    local body = { metadata = { user_id = 'u"1', list = { 1, 2 } }, temperature = 0.5, flag = false }
    assert.equal('u"1 0.5 false [1,2] nil', tells('exchange:field "metadata.user_id" .. " " .. '
      .. 'exchange:field "temperature"'
      .. ' .. " " .. tostring(exchange:field "flag") .. " " .. exchange:field "metadata.list" .. " " .. '
      .. 'tostring(exchange:field "nothing")', { body = body }))
  end)

  it('tell the name of the conversation: the session, else metadata.user_id', function()
    local told, session = 'tostring(exchange.conversation)', { ['x-claude-code-session-id'] = 's-1' }
    assert.equal('s-1', tells(told, { headers = session, body = { metadata = { user_id = 'u-1' } } }))
    assert.equal('u"1', tells(told, { body = { metadata = { user_id = 'u"1' } } }))
    assert.equal('nil', tells(told, { body = { metadata = { user_id = 7 } } }))
    assert.equal('nil', tells(told))
  end)

  it('do not exist under a mistyped name', function()
    local answer, _, _, self = run 'return exchange.modle'
    assert.equal(500, answer.status)
    assert.equal(1, self:count 'an exchange has no "modle"')
  end)

  it('cannot be assigned', function()
    local answer, _, _, self = run 'exchange.model = "other"'
    assert.equal(500, answer.status)
    assert.equal(1, self:count 'exchange.model cannot be assigned')
  end)
end)

describe('edits of the body', function()
  local try = ' return exchange:try(relay.upstreams(exchange)[1])'

  it('are made in every attempt', function()
    local _, exchange = run('exchange:set("max_tokens", 5) exchange:remove("metadata")'
      .. ' local list = relay.upstreams(exchange) exchange:try(list[1])' .. try, { body = { metadata = {} } })
    assert.equal(2, #exchange.tries)
    for _, attempt in ipairs(exchange.tries) do
      assert.same({ max_tokens = '5', metadata = false }, attempt.edits)
    end
  end)

  it('remove what stands deeper down', function()
    local _, exchange = run('exchange:remove("output_config.task_budget") exchange:remove("output_config.none")' .. try,
      { body = { output_config = { effort = 'low', task_budget = { total = 1 } } } })
    assert.same({ ['output_config.task_budget'] = false }, exchange.tries[1].edits)
  end)

  it('take the last word for a member', function()
    local _, exchange = run('exchange:set("a", 1) exchange:remove("a") exchange:set("a", { b = true })' .. try)
    assert.same({ a = '{"b":true}' }, exchange.tries[1].edits)
  end)

  it('are of up to 256 members, and of each as many as one likes', function()
    local answer = run('for i = 1, 1000 do exchange:set("a", i) end for i = 2, 256 do exchange:set("a" .. i, i) end'
      .. try)
    assert.equal(200, answer.status)
    answer = run('for i = 1, 257 do exchange:remove("a" .. i) end' .. try)
    assert.equal(500, answer.status)
  end)

  it('of the model choose the candidates and what is sent', function()
    local providers = { { name = 'one', type = 'anthropic', keys = { { key = 'k' } }, models = { 'small' } },
      { name = 'two', type = 'anthropic', keys = { { key = 'k' } }, models = { 'big' } } }
    local _, exchange = run('exchange:set("model", "big")' .. try, nil, { providers = providers })
    assert.equal('two.test', exchange.tries[1].origin.host)
    assert.same({ model = '"big"' }, exchange.tries[1].edits)
  end)

  it('leave a model that keeps its name alone', function()
    local _, exchange = run(try)
    assert.same({}, exchange.tries[1].edits)
  end)

  for _, name in ipairs { 'system', 'tools', 'messages' } do
    it('of ' .. name .. ' must be a rewrite', function()
      for _, edit in ipairs { ':set("%s", "x")', ':remove("%s")', ':remove("%s[].text")', ':remove("%s.x")' } do
        local answer, exchange, _, self = run('exchange' .. edit:format(name) .. try)
        assert.equal(500, answer.status)
        assert.equal(0, #exchange.tries)
        assert.equal(1, self:count 'exchange:rewrite')
      end
    end)
  end

  it('of the history are flagged in the log', function()
    local _, exchange, _, self = run([[exchange:rewrite("system", '"short"')]] .. try)
    assert.same({ system = '"short"' }, exchange.tries[1].edits)
    assert.equal('true', self:line().prefix_broken)
    local _, _, _, plain = run(try)
    assert.is_nil(plain:line().prefix_broken)
  end)

  it('refuse a rewrite that is no JSON, and other members', function()
    assert.equal(500, run([[exchange:rewrite("system", "short")]] .. try).status)
    assert.equal(500, run([[exchange:rewrite("max_tokens", "1")]] .. try).status)
  end)

  it('leave the stream to the client', function()
    assert.equal(500, run('exchange:set("stream", true)' .. try).status)
  end)
end)

describe('answers of a policy', function()
  it('have status, headers and body', function()
    local answer = run 'return exchange:respond { status = 418, headers = { ["X-Tea"] = "yes" }, body = "short" }'
    assert.equal(418, answer.status)
    assert.equal('yes', answer.headers['x-tea'])
    assert.equal('short', answer.body)
    assert.is_truthy(answer.headers['request-id']:find '^req_ccr_%x+$')
  end)

  it('may be a table, which becomes JSON', function()
    assert.equal('{"a":[1]}', run('return exchange:respond { body = { a = { 1 } } }').body)
  end)

  for what, words in pairs {
    ['a status out of range'] = '{ status = 99 }', ['a status that is NaN'] = '{ status = 0/0 }',
    ['a header with a line break'] = '{ headers = { a = "b\\r\\nc: d" } }',
      ['a header that is a table'] = '{ headers = { a = {} } }',
    ['a body that is a function'] = '{ body = print or next }', ['an endless table'] = '{ body = endless }',
  } do
    it('are refused with ' .. what, function()
      local answer = run('local endless = {} endless.self = endless return exchange:respond ' .. words)
      assert.equal(500, answer.status)
      assert.equal('api_error', answer.json.error.type)
    end)
  end

  it('refuse by a rule with 400 policy_blocked, which clients do not repeat', function()
    local answer, _, _, self = run 'return exchange:refuse "Not \\"here\\"."'
    assert.equal(400, answer.status)
    assert.same({ type = 'policy_blocked', message = 'Not "here".' }, answer.json.error)
    assert.equal('false', answer.headers['x-should-retry'])
    assert.equal(answer.headers['request-id'], answer.json.request_id)
    assert.equal('policy_blocked', self:line().error)
  end)

  for _, given in ipairs { '', '""', '{}', '7' } do
    it('refuse with a message only, not with ' .. given, function()
      local answer, _, _, self = run('return exchange:refuse(' .. given .. ')')
      assert.equal(500, answer.status)
      assert.equal(1, self:count 'exchange:refuse takes a message')
    end)
  end

  it('are given once', function()
    local answer, _, _, self = run 'exchange:respond { status = 201 } exchange:respond { status = 202 }'
    assert.equal(201, answer.status)
    assert.equal(1, self:count 'after the answer was given')
  end)

  it('come in pieces', function()
    local answer = run([[return exchange:stream(function(writer)
      writer:write("a") writer:sleep(50) writer:write("b")
    end, { headers = { ["x-a"] = "1" } })]])
    assert.equal('ab', answer.body)
    assert.equal('text/event-stream', answer.headers['content-type'])
    assert.equal('1', answer.headers['x-a'])
    assert.is_true(answer.ended)
    assert.equal(50, answer.writes[2] - answer.writes[1])
  end)

  it('in pieces wait for a slow client', function()
    local answer = run('return exchange:stream(function(writer) for _ = 1, 3 do writer:write("x") end end)',
      { slow_ms = 20 })
    assert.equal('xxx', answer.body)
    assert.equal(40, answer.writes[3] - answer.writes[1])
  end)

  it('in pieces stop when the client goes', function()
    local answer, _, _, self = run('exchange:stream(function(writer) '
      .. 'while true do writer:write("x") writer:sleep(10) end end)',
      { gone_after = 35 })
    assert.equal('xxxx', answer.body)
    assert.equal('CC_ECLIENT_GONE', self:line().error)
    assert.equal(0, self:count 'script error')
  end)

  it('in pieces break when the script fails', function()
    local answer, _, _, self = run 'exchange:stream(function(writer) writer:write("x") error("no") end)'
    assert.is_true(answer.broken)
    assert.is_nil(answer.ended)
    assert.equal(1, self:count 'script error: .*no')
  end)

  it('may be broken off, with bytes of any kind', function()
    local answer = run 'return exchange:abort { reset = true, raw = "garbage" }'
    assert.is_true(answer.reset)
    assert.equal('garbage', answer.raw)
    answer = run 'exchange:stream(function(writer) writer:write("x") writer:abort {} end)'
    assert.is_true(answer.broken)
    assert.is_false(answer.reset)
  end)

  it('may wait', function()
    local _, _, _, self = run 'exchange:sleep(250) return exchange:respond {}'
    assert.equal('250', self:line().total_ms)
  end)
end)

describe('an exchange', function()
  local keeper = [[
    local relay = require 'ccrelay'
    local kept
    return function(exchange)
      if not kept then
        kept = exchange
        exchange:sleep(WAIT)
        return exchange:respond { body = 'first' }
      end
      for _, call in ipairs { 'respond', 'sleep', 'try', 'set', 'abort' } do
        local ok, message = pcall(kept[call], kept, {})
        relay.log(call .. ' ' .. tostring(ok) .. ' ' .. tostring(message))
      end
      return exchange:respond { body = 'second' }
    end]]

  it('refuses calls after its end', function()
    local self = stage.new { policy = (keeper:gsub('WAIT', '0')) }
    local first, second = self:requests({}, { at = 100 })
    assert.equal('first', first.answer.body)
    assert.equal('second', second.answer.body)
    for _, call in ipairs { 'respond', 'sleep', 'try', 'set', 'abort' } do
      assert.equal(1, self:count(call .. ' false .*after the exchange ended'), call)
    end
  end)

  it('refuses calls from another\'s script', function()
    local self = stage.new { policy = (keeper:gsub('WAIT', '500')) }
    local first, second = self:requests({}, { at = 100 })
    assert.equal('first', first.answer.body)
    assert.equal('second', second.answer.body)
    assert.equal(5, self:count 'false .*from outside of the exchange\'s own script')
  end)

  it('leaves a boolean uncallable for everything else', function()
    local answer, _, _, self = run 'local flag = true flag("x")'
    assert.equal(500, answer.status)
    assert.equal(1, self:count 'attempt to call a boolean value')
  end)
end)
