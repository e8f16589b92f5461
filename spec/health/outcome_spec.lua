-- SPDX-License-Identifier: Apache-2.0
-- Which failures are retryable, and what the client gets of them.
local stage = require 'support.stage'

local function shaped(kind, message)
  return '{"type":"error","error":{"type":"' .. kind .. '","message":"' .. (message or 'words') .. '"}}'
end

local function two(first, options)
  options = options or {}
  options.providers = {
    { name = 'a', type = 'anthropic', transparent = true, keys = { { key = 'sk-a' } } },
      { name = 'b', type = 'anthropic', keys = { { key = 'sk-b' } } },
  }
  local self = stage.new(options)
  self:reply('a', first)
  self:reply('b', { status = 200, body = 'good' })
  return self
end

describe('retryable', function()
  local function goes_on(reply, headers)
    local _, exchange = two(reply):request { headers = headers }
    return #exchange.tries == 2
  end

  for _, status in ipairs { 401, 402, 403, 408, 409, 429, 500, 502, 503, 504, 529 } do
    it('is ' .. status, function() assert.is_true(goes_on { status = status, body = shaped 'x' }) end)
  end

  for _, status in ipairs { 400, 404, 405, 413, 415, 422, 424 } do
    it('is not ' .. status, function() assert.is_false(goes_on { status = status, body = shaped 'x' }) end)
  end

  for _, error in ipairs {
    'CC_EDNS', 'CC_EREFUSED', 'CC_ECONNECT', 'CC_ECONNECT_TIMEOUT', 'CC_ETLS', 'CC_EPROXY', 'CC_ERESET', 'CC_EEOF',
    'CC_EHEAD_TIMEOUT', 'CC_EIDLE_TIMEOUT', 'CC_EWRITE_TIMEOUT', 'CC_EHTTP', 'CC_EHEAD_SIZE', 'CC_EEMPTY',
      'CC_ENOTJSON', 'CC_ENOMESSAGE',
    'CC_EGATE_TIMEOUT', 'CC_EEVENT_SIZE', 'CC_ETRUNCATED', 'CC_EFRAME', 'CC_EADDRESS_FORBIDDEN',
  } do
    it('is ' .. error, function() assert.is_true(goes_on { error = error }) end)
  end

  it('is a redirect', function() assert.is_true(goes_on { error = 'CC_EREDIRECT', status = 302 }) end)

  it('is an error event as the first event, unless the request is at fault', function()
    local function event(kind) return { error = 'CC_ESTREAM_ERROR', status = 200, body = 'event: error\ndata: '
      .. shaped(kind) .. '\n\n' } end
    assert.is_true(goes_on(event 'overloaded_error'))
    assert.is_true(goes_on(event 'api_error'))
    assert.is_false(goes_on(event 'invalid_request_error'))
  end)

  it('is not the refusal of the client\'s own credential', function()
    assert.is_false(goes_on({ status = 401, body = shaped 'authentication_error' },
      { authorization = 'Bearer theirs' }))
    assert.is_false(goes_on({ status = 403, body = shaped 'permission_error' }, { authorization = 'Bearer theirs' }))
    assert.is_true(goes_on({ status = 429, body = shaped 'rate_limit_error' }, { authorization = 'Bearer theirs' }))
  end)
end)

describe('an outcome', function()
  it('tells what happened', function()
    local self = stage.new { policy = [[
      local relay = require 'ccrelay'
      return function(exchange)
        local outcome = exchange:try(relay.upstreams(exchange)[1])
        relay.log(('told %s %s %s %s %s %s'):format(outcome.status, outcome.type, tostring(outcome.retryable),
          outcome.retry_after, outcome.headers['X-Some'], outcome.upstream.key_id))
        relay.log('body ' .. outcome.body)
        return outcome
      end]] }
    self:reply('one', { status = 429, headers = { ['Retry-After'] = '7', ['x-some'] = 'thing' },
      body = shaped 'rate_limit_error' })
    self:request()
    assert.equal(1, self:count 'told 429 rate_limit_error true 7 thing one/1')
    assert.equal(1, self:count 'body {"type":"error"')
  end)

  it('of success shows headers and the part of the body that is held', function()
    local self = stage.new { policy = [[
      local relay = require 'ccrelay'
      return function(exchange)
        local outcome = exchange:try(relay.upstreams(exchange)[1])
        relay.log('told ' .. tostring(outcome.ok) .. outcome.headers['x-some'] .. outcome.body)
        return outcome
      end]] }
    self:reply('one', { status = 200, headers = { ['x-some'] = 'thing' }, body = 'held' })
    self:request()
    assert.equal(1, self:count 'told truethingheld')
  end)
end)

describe('the client gets', function()
  local function answer_to(reply, request, options)
    local self = stage.new(options)
    self:reply('one', reply)
    local answer = self:request(request)
    return answer, self
  end

  it('an upstream\'s error unchanged', function()
    local body = '{"type":"error","error":{"type":"invalid_request_error","message":"m"},"request_id":"req_1"}'
    local answer = answer_to { status = 400, body = body, headers = {
      ['request-id'] = 'req_1', ['x-should-retry'] = 'false', ['anthropic-ratelimit-unified-status'] = 'allowed' } }
    assert.equal(400, answer.status)
    assert.equal(body, answer.body)
    assert.is_nil(answer.own)
    assert.equal('req_1', answer.headers['request-id'])
    assert.equal('false', answer.headers['x-should-retry'])
    assert.equal('allowed', answer.headers['anthropic-ratelimit-unified-status'])
  end)

  it('the message that a policy gives the error, and the status of the type', function()
    local function told(edits)
      return answer_to({ status = 404, body = shaped('not_found_error', 'theirs'), headers = { ['request-id'] = 'r' } },
        nil, { policy = "local relay = require 'ccrelay'\nreturn function(exchange)\n"
          .. 'local outcome = exchange:try(relay.upstreams(exchange)[1])\n' .. edits .. ' return outcome end' })
    end
    local answer = told 'outcome.message = "mine"'
    assert.same({ 404, { type = 'not_found_error', message = 'mine' } }, { answer.status, answer.json.error })
    assert.equal('r', answer.headers['request-id'])
    answer = told 'outcome.type, outcome.message = "invalid_request_error", "mine"'
    assert.same({ 400, { type = 'invalid_request_error', message = 'mine' } }, { answer.status, answer.json.error })
    answer = told 'outcome.message = nil'
    assert.same({ 404, shaped('not_found_error', 'theirs') }, { answer.status, answer.body })
  end)

  it('the first upstream\'s error when all have failed', function()
    local first = shaped('api_error', 'first')
    local self = two { status = 500, body = first, headers = { ['request-id'] = 'req_1', ['anthropic-x'] = 'y' } }
    self:reply('b', { status = 529, body = shaped('overloaded_error', 'last') })
    local answer = self:request()
    assert.equal(500, answer.status)
    assert.equal(first, answer.body)
    assert.same({ 'req_1', 'y' }, { answer.headers['request-id'], answer.headers['anthropic-x'] })
  end)

  local TELLING = {
    ['429'] = { status = 429, body = shaped('rate_limit_error', 'first'), headers = { ['retry-after'] = '10800' } },
    ['529'] = { status = 529, body = shaped('overloaded_error', 'first') },
    ['500'] = { status = 500, body = shaped('api_error', 'first') },
    ['an error event'] = { error = 'CC_ESTREAM_ERROR', status = 200,
      body = 'event: error\ndata: ' .. shaped('api_error', 'first') .. '\n\n' },
  }
  local CANNOT_SERVE = {
    ['lacks the model'] = { status = 404, body = shaped('not_found_error', 'model: x') },
    ['is an Ollama without the model'] = { status = 404, body = '{"error":"model \'x\' not found"}' },
    ['is a Bedrock without the model'] = { status = 400,
      body = '{"message":"The provided model identifier is invalid."}' },
    ['is an Azure without the deployment'] = { status = 404, body = '{"error":{"code":"DeploymentNotFound",'
      .. '"message":"The API deployment for this resource does not exist."}}' },
    ['is a Vertex without the model'] = { status = 404, body = '[{"error":{"code":404,"message":"Publisher Model '
      .. '`projects/p/locations/r/publishers/anthropic/models/x` was not found.","status":"NOT_FOUND"}}]' },
    ['refuses the key'] = { status = 401, body = shaped('authentication_error', 'invalid x-api-key') },
    ['forbids the key'] = { status = 403, body = shaped('permission_error', 'no') },
    ['cannot be reached'] = { error = 'CC_EREFUSED' },
    ['cannot be found'] = { error = 'CC_EDNS', sent = false },
  }
  for what, telling in pairs(TELLING) do
    for reason, reply in pairs(CANNOT_SERVE) do
      it(what .. ' rather than that a fallback ' .. reason, function()
        local self = two(telling)
        self:reply('b', reply)
        local answer = self:request()
        assert.equal(telling.error and 500 or telling.status, answer.status)
        assert.equal('first', answer.json.error.message)
        assert.equal((telling.headers or {})['retry-after'], answer.headers['retry-after'])
      end)

      it(what .. ' rather than that the upstream before ' .. reason, function()
        local self = two(reply)
        self:reply('b', telling)
        assert.equal('first', self:request().json.error.message)
      end)
    end
  end

  for reason, reply in pairs(CANNOT_SERVE) do
    it('success of the next one, when the first ' .. reason, function()
      assert.equal(200, two(reply):request().status)
    end)
  end

  for value, expected in pairs { ['0'] = '0', ['5'] = '5', ['61'] = '61', ['10800'] = '10800', ['124633'] = '124633',
    ['1.5'] = '2' } do
    it('retry-after ' .. value .. ' as ' .. expected, function()
      local answer = answer_to { status = 429, body = shaped 'rate_limit_error', headers = { ['retry-after'] = value } }
      assert.equal(expected, answer.headers['retry-after'])
    end)
  end

  it('no retry-after that cannot be read', function()
    for _, value in ipairs { 'soon', '-1', '1e9', '' } do
      local answer = answer_to { status = 529, body = shaped 'overloaded_error', headers = { ['retry-after'] = value } }
      assert.is_nil(answer.headers['retry-after'])
    end
  end)

  it('a 429 that names no time with retry-after 1', function()
    for _, headers in ipairs { {}, { ['retry-after'] = 'soon' } } do
      for _, body in ipairs { shaped 'rate_limit_error', '{"message":"slow down"}' } do
        local answer = answer_to { status = 429, body = body, headers = headers }
        assert.equal('1', answer.headers['retry-after'])
      end
    end
  end)

  it('a 429 that names only the reset of what is used up with the time until then', function()
    local self = stage.new()
    local at = math.floor(stage.C.cc_time() / 1000) + 7200
    self:reply('one', { status = 429, body = shaped 'rate_limit_error',
      headers = { ['anthropic-ratelimit-unified-reset'] = tostring(at) } })
    local answer = self:request()
    assert.is_true(math.abs(tonumber(answer.headers['retry-after']) - 7200) <= 1, answer.headers['retry-after'])
  end)

  it('no retry-after with a spending limit, where its absence says that waiting does not help', function()
    local enforced = '{"type":"error","error":{"type":"rate_limit_error","message":"m","details":'
      .. '{"error_code":"enforced_spend_limit_reached"}}}'
    for _, reply in ipairs {
      { status = 429, body = enforced }, { status = 429, body = shaped 'billing_error' },
      { status = 429, body = shaped 'rate_limit_error', headers = { ['x-should-retry'] = 'false' } },
    } do
      assert.is_nil(answer_to(reply).headers['retry-after'])
    end
  end)

  it('the retry-after of a spending limit that ends', function()
    local enforced = '{"type":"error","error":{"type":"rate_limit_error","message":"m","details":'
      .. '{"error_code":"enforced_spend_limit_reached"}}}'
    for _, body in ipairs { enforced, shaped 'billing_error' } do
      local answer = answer_to { status = 429, body = body, headers = { ['retry-after'] = '7200' } }
      assert.equal('7200', answer.headers['retry-after'])
    end
  end)

  it('retry-after-ms beside retry-after, both unchanged', function()
    local answer = answer_to { status = 429, body = shaped 'rate_limit_error',
      headers = { ['retry-after'] = '120', ['retry-after-ms'] = '119500' } }
    assert.equal('120 119500', answer.headers['retry-after'] .. ' ' .. answer.headers['retry-after-ms'])
  end)

  it('retry-after-ms alone as both, also when the body is put into Anthropic\'s shape', function()
    local answer = answer_to { status = 529, body = 'busy', headers = { ['retry-after-ms'] = '1200' } }
    assert.equal('2 1200', answer.headers['retry-after'] .. ' ' .. answer.headers['retry-after-ms'])
  end)

  it('a date in retry-after as seconds', function()
    local self = stage.new()
    local at = os.date('!%a, %d %b %Y %H:%M:%S GMT', math.floor(stage.C.cc_time() / 1000) + 12)
    self:reply('one', { status = 503, body = shaped 'api_error', headers = { ['retry-after'] = at } })
    local answer = self:request()
    assert.is_truthy(({ ['11'] = true, ['12'] = true })[answer.headers['retry-after']])
  end)

  it('the retry-after the policy chose', function()
    local told = { ['retry-after'] = '999', ['retry-after-ms'] = '999000' }
    local answer = answer_to({ status = 429, body = shaped 'x', headers = told }, nil,
      { policy = [[
      return function(exchange)
        local outcome = exchange:try(require('ccrelay').upstreams(exchange)[1])
        outcome.retry_after = 90
        return outcome
      end]] })
    assert.equal('90', answer.headers['retry-after'])
    assert.is_nil(answer.headers['retry-after-ms'])
  end)

  it('errors of other shapes in Anthropic\'s, with the same message', function()
    for body, message in pairs {
      ['{"message":"Too many \\"tokens\\""}'] = 'Too many "tokens"',
        ['{"error":{"code":8,"message":"quota"}}'] = 'quota',
      ['[{"error":{"message":"from a list"}}]'] = 'from a list', ['{"error":"plain"}'] = 'plain',
      ['{"code":500,"msg":"404 NOT_FOUND","success":false}'] = '404 NOT_FOUND',
      ['{"base_resp":{"status_code":1004,"status_msg":"login fail"}}'] = 'login fail',
      ['{"error":{"code":"1308","message":"[1308] used up","type":"new_api_error"}}'] = '[1308] used up',
      ['<html>Bad gateway</html>\n'] = 'Bad gateway',
    } do
      local answer = answer_to { status = 400, body = body, headers = { ['content-type'] = 'text/html',
        ['x-other'] = 'no',
        ['request-id'] = 'req_2', ['anthropic-organization-id'] = 'org' } }
      assert.equal(400, answer.status)
      assert.same({ type = 'invalid_request_error', message = message }, answer.json.error)
      assert.equal('error', answer.json.type)
      assert.equal('application/json', answer.headers['content-type'])
      assert.equal('req_2', answer.headers['request-id'])
      assert.equal('req_2', answer.json.request_id)
      assert.equal('org', answer.headers['anthropic-organization-id'])
      assert.is_nil(answer.headers['x-other'])
    end
  end)

  it('a message that is not UTF-8 as valid JSON', function()
    local answer = answer_to { status = 500, body = 'caf\233 \240\159' }
    assert.equal('caf\239\191\189 \239\191\189\239\191\189', answer.json.error.message)
  end)

  it('a message of the relay if the error has none', function()
    local answer = answer_to { status = 503, body = '' }
    assert.equal(503, answer.status)
    assert.equal('provider "one" answered 503 without a body', answer.json.error.message)
  end)

  for status, kind in pairs {
    [400] = 'invalid_request_error', [401] = 'authentication_error', [402] = 'billing_error',
      [403] = 'permission_error',
    [404] = 'not_found_error', [408] = 'timeout_error', [409] = 'conflict_error', [413] = 'request_too_large',
    [424] = 'api_error', [429] = 'rate_limit_error', [500] = 'api_error', [503] = 'api_error', [504] = 'timeout_error',
    [529] = 'overloaded_error',
  } do
    it(status .. ' with the type ' .. kind, function()
      local answer = answer_to { status = status, body = '{"message":"m"}' }
      assert.equal(status, answer.status)
      assert.equal(kind, answer.json.error.type)
    end)
  end

  it('an encoded error untouched', function()
    local answer = answer_to { status = 500, body = '\31\139gzip', headers = { ['content-encoding'] = 'gzip' } }
    assert.equal('\31\139gzip', answer.body)
    assert.equal('gzip', answer.headers['content-encoding'])
  end)

  it('the status alone when an encoded error was cut', function()
    local answer = answer_to { status = 529, error = 'CC_EGATE_TIMEOUT', body = '\31\139gz',
      headers = { ['content-encoding'] = 'gzip', ['retry-after'] = '7' } }
    assert.equal(529, answer.status)
    assert.equal('7', answer.headers['retry-after'])
    assert.equal('provider "one" answered 529 without a body', answer.json.error.message)
  end)

  it('what a success without a message says', function()
    for body, words in pairs {
      ['{"code":500,"msg":"404 NOT_FOUND","success":false}'] = ': 404 NOT_FOUND$',
      ['{"base_resp":{"status_code":1004,"status_msg":"login fail"}}'] = ': login fail$',
      ['{"error":{"code":"1302","message":"slow down"}}'] = ': slow down$',
      ['{"x":1}'] = 'not a message$', ['{}'] = 'not a message$',
    } do
      local answer = answer_to { status = 200, error = 'CC_ENOMESSAGE', body = body }
      assert.equal(502, answer.status)
      assert.equal('api_error', answer.json.error.type)
      assert.is_truthy(answer.json.error.message:find('^provider "one": '))
      assert.is_truthy(answer.json.error.message:find(words), answer.json.error.message)
    end
  end)

  it('what an error event without a type says', function()
    local answer = answer_to { status = 200, error = 'CC_ESTREAM_ERROR',
      body = 'data: {"id":"x"}\n\ndata: {"code":1,"error":{"message":"slow down"}}\n\n' }
    assert.equal(502, answer.status)
    assert.is_truthy(answer.json.error.message:find ': slow down$')
  end)

  for error, status in pairs {
    CC_EREFUSED = 502, CC_ERESET = 502, CC_ETLS = 502, CC_EDNS = 502, CC_EEMPTY = 502, CC_ENOTJSON = 502,
    CC_ENOMESSAGE = 502,
    CC_ECONNECT_TIMEOUT = 504, CC_EHEAD_TIMEOUT = 504, CC_EIDLE_TIMEOUT = 504, CC_EGATE_TIMEOUT = 504,
  } do
    it(status .. ' for ' .. error, function()
      local answer = answer_to { error = error, detail = 'certificate of sk-ant-secret99 expired' }
      assert.equal(status, answer.status)
      assert.equal(status == 504 and 'timeout_error' or 'api_error', answer.json.error.type)
      assert.is_truthy(answer.json.error.message:find 'provider "one"')
      assert.is_truthy(answer.json.error.message:find 'expired')
      assert.is_nil(answer.body:find 'secret99')
      assert.is_truthy(answer.json.request_id:find '^req_ccr_')
      assert.equal(answer.json.request_id, answer.headers['request-id'])
    end)
  end

  it('502 for a redirect, and never its location', function()
    local answer = answer_to { error = 'CC_EREDIRECT', status = 302,
      headers = { location = 'http://169.254.169.254/' } }
    assert.equal(502, answer.status)
    assert.is_nil(answer.headers.location)
  end)

  it('an error status for an error event, with its data as the body', function()
    local data = '{"type":"error","error":{"type":"overloaded_error","message":"Overloaded"}}'
    local answer = answer_to({ error = 'CC_ESTREAM_ERROR', status = 200,
      headers = { ['content-type'] = 'text/event-stream' },
      body = 'event: message_start\ndata: {"type":"message_start"}\n\nevent: error\r\ndata: ' .. data .. '\r\n\r\n' },
      { body = { stream = true } })
    assert.equal(529, answer.status)
    assert.equal(data, answer.body)
    assert.equal('application/json', answer.headers['content-type'])
  end)

  it('an error status for an error with status 200', function()
    local data = '{"type":"error","error":{"type":"rate_limit_error","message":"slow"}}'
    local answer = answer_to { error = 'CC_ENOTJSON', status = 200, body = data }
    assert.equal(429, answer.status)
    assert.equal(data, answer.body)
  end)

  it('success unchanged, with a request id', function()
    local answer = answer_to { status = 200, body = 'raw', headers = { ['retry-after'] = '99', ['x-any'] = 'thing' } }
    assert.equal('raw', answer.body)
    assert.equal('99', answer.headers['retry-after'])
    assert.equal('thing', answer.headers['x-any'])
    assert.is_truthy(answer.headers['request-id']:find '^req_ccr_')
  end)

  it('the headers of routing.debug only if that is on', function()
    local self = two({ status = 500, body = shaped 'api_error' }, { routing = { debug = true } })
    local headers = self:request().headers
    assert.equal('failover', headers['x-cc-relay-strategy'])
    assert.equal('b', headers['x-cc-relay-provider'])
    assert.equal('2', headers['x-cc-relay-attempts'])
    headers = two({ status = 200 }):request().headers
    assert.is_nil(headers['x-cc-relay-strategy'])
  end)

  it('a broken stream as the policy wants it', function()
    local text = "return { break_with = 'event', route = function(exchange) "
      .. "return exchange:first(require('ccrelay').upstreams(exchange)) end }"
    assert.is_true(answer_to({ status = 200 }, nil, { policy = text }).break_with_event)
    assert.is_false(answer_to({ status = 200 }).break_with_event)
  end)
end)
