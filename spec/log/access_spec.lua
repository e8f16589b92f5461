-- SPDX-License-Identifier: Apache-2.0
local C = require 'ccrelay.c'
local stage = require 'support.stage'
local json = require 'ccrelay.util.json'
local records = require 'ccrelay.log.records'
local series = require 'ccrelay.log.series'

describe('the line of an exchange', function()
  local function served(options, request)
    local self = stage.new(options)
    self:reply('one', { status = 200, body = 'twelve bytes', changed_bytes = 9,
      usage = { input = 1, output = 2, cache_read = 3,
      cache_5m = 4, cache_1h = 5 } })
    self:request(request)
    return self:line(), self
  end

  it('has all fields in text', function()
    local fields = served(nil, { path = '/v1/messages?beta=true' })
    local expected = {
      peer = '127.0.0.1', method = 'POST', path = '/v1/messages', model = 'claude-sonnet-4-5', stream = 'false',
        provider = 'one',
      key = 'one/1', status = '200', attempts = '1', tried = 'one/1:200', total_ms = '1', response_bytes = '12',
      input_tokens = '1', output_tokens = '2', cache_read_tokens = '3', cache_write_tokens = '9', changed_bytes = '9',
    }
    for name, value in pairs(expected) do assert.equal(value, fields[name], name) end
    assert.is_truthy(fields.id:find '^%x+$')
    assert.is_nil(fields.error)
  end)

  it('has the cost by routing.prices, and none if that is not known', function()
    local function cost_at(prices, reply)
      local self = stage.new { routing = { prices = prices } }
      self:reply('one', reply)
      self:request()
      return self:line().cost
    end
    local usage = { input = 1000000, output = 2 }
    assert.equal('3.00002', cost_at({ ['*'] = { input = 3, output = 10 } }, { usage = usage }))
    assert.equal('0', cost_at({ ['*'] = { input = 0, output = 0 } }, { usage = usage }))
    assert.is_nil(cost_at({ ['glm*'] = { input = 3, output = 10 } }, { usage = usage }))
    assert.is_nil(cost_at({ ['*'] = { input = 3, output = 10 } }, {}))
    assert.is_nil(cost_at(nil, { usage = usage }))
  end)

  it('has the same fields in JSON', function()
    local self = stage.new { logging = { format = 'json' } }
    self:reply('one', { status = 200, usage = { input = 1, output = 2 } })
    self:request()
    assert.equal(1, #self.lines)
    local line = json.decode(self.lines[1])
    assert.equal('exchange', line.message)
    assert.equal('info', line.level)
    assert.equal(200, line.status)
    assert.equal(false, line.stream)
    assert.equal(2, line.output_tokens)
    assert.is_truthy(line.time:find '^%d%d%d%d%-%d%d%-%d%dT%d%d:%d%d:%d%d%.%d%d%dZ$')
  end)

  it('lists every attempt', function()
    local self = stage.new { providers = { { name = 'a', type = 'anthropic', keys = { { key = 'k' } } },
      { name = 'b', type = 'anthropic', keys = { { key = 'k' } } },
        { name = 'c', type = 'anthropic', keys = { { key = 'k' } } } } }
    self:reply('a', { error = 'CC_EREFUSED' })
    self:reply('b', { status = 529, body = '{}' })
    self:reply('c', { error = 'CC_ESTREAM_ERROR', status = 200,
      body = 'event: error\ndata: {"type":"error","error":{"type":"api_error","message":"x"}}\n\n' })
    self:request()
    local fields = self:line()
    assert.equal('a/1:CC_EREFUSED,b/1:529,c/1:api_error', fields.tried)
    assert.equal('overloaded_error', fields.error)
  end)

  it('names an error that was passed on', function()
    local self = stage.new()
    self:reply('one', { status = 400,
      body = '{"type":"error","error":{"type":"invalid_request_error","message":"m"}}' })
    self:request()
    assert.equal('invalid_request_error', self:line().error)
    self:reply('one', { status = 200, ending = { error = 'CC_ETRUNCATED' } })
    self:request()
    assert.equal('CC_ETRUNCATED', self:line().error)
    self:reply('one', { status = 200, ending = { stream_error = 'overloaded_error' } })
    self:request()
    assert.equal('overloaded_error', self:line().error)
  end)

  it('does not quote an upstream that has a sentence in the place of the error type', function()
    local self, kind = stage.new(), 'cannot answer "my prompt"'
    local body = json.encode { type = 'error', error = { type = kind, message = 'm' } }
    for _, reply in ipairs { { status = 404 }, { error = 'CC_ESTREAM_ERROR', status = 200 } } do
      self:reply('one', { status = reply.status, error = reply.error, body = body })
      local answer = self:request()
      assert.equal(body, answer.body)
      local fields, line = self:line()
      assert.is_nil(line:find('prompt', 1, true), line)
      assert.equal(reply.error or 'not_found_error', fields.error)
      local record = records.read(C.cc_records_next() - 1, 1)[1]
      assert.equal(reply.error and 'api_error' or 'not_found_error', record.attempts[1].error)
    end
    for _, list in pairs(series.read()) do
      for _, sample in ipairs(list) do assert.is_nil(sample.labels:find('prompt', 1, true), sample.labels) end
    end
  end)

  it('is written once for every request, however that ends', function()
    local self = stage.new { server = { auth = { api_key = 'relay-key-1' } }, logging = { level = 'debug' } }
    self:requests({}, { path = '/nothing' }, { method = 'GET', path = '/health' }, { gone_after = 0 },
      { headers = { ['x-api-key'] = 'relay-key-1' }, body = '{' })
    assert.equal(5, self:count ' exchange ')
  end)

  it('has level debug for requests of monitors and scanners, and is a warning if an answer broke off', function()
    local self = stage.new()
    local function level(request)
      self.current.logger.level = 1
      self:request(request)
      local _, line = self:line()
      return line:match '^%S+ (%l+)'
    end
    assert.equal('debug', level { method = 'GET', path = '/health' })
    assert.equal('debug', level { method = 'GET', path = '/favicon.ico' })
    assert.equal('info', level { method = 'GET', path = '/v1/models' })
    assert.equal('info', level {})
    self:reply('one', { status = 200, ending = { error = 'CC_ETRUNCATED' } })
    assert.equal('warn', level {})
    self:reply('one', { status = 200, ending = { stream_error = 'overloaded_error' } })
    assert.equal('warn', level {})
    self:reply('one', { status = 200, ending = { error = 'CC_ECLIENT_GONE' } })
    assert.equal('info', level {})
    self:reply('one', { status = 500, body = '{}' })
    assert.equal('info', level {})
  end)

  it('of a path that is not served has level info if the client has no key', function()
    local self = stage.new { server = { auth = { api_key = 'relay-key-1' } } }
    self:request { path = '/nothing' }
    assert.equal('401', self:line().status)
  end)

  it('has the TLS error of a failed attempt, also if another attempt served', function()
    local self = stage.new { providers = {
      { name = 'a', type = 'anthropic', keys = { { key = 'sk-a', priority = 2 } } },
      { name = 'b', type = 'anthropic', keys = { { key = 'sk-b', priority = 1 } } },
    } }
    self:reply('a', { error = 'CC_ETLS', detail = 'the certificate has expired' })
    self:request()
    local fields, line = self:line()
    assert.equal('200', fields.status)
    assert.is_truthy(line:find(' detail="the certificate has expired" ', 1, true), line)
  end)

  it('has no control characters, in text and in JSON', function()
    local characters = {
      ['0080'] = '\194\128', ['0085'] = '\194\133', ['009b'] = '\194\155', ['009f'] = '\194\159', ['061c'] = '\216\156',
      ['200b'] = '\226\128\139', ['200f'] = '\226\128\143', ['2028'] = '\226\128\168', ['202a'] = '\226\128\170',
      ['202e'] = '\226\128\174', ['2066'] = '\226\129\166', ['2069'] = '\226\129\169', ['feff'] = '\239\187\191',
    }
    for _, format in ipairs { 'text', 'json' } do
      for code, character in pairs(characters) do
        local self = stage.new { logging = { format = format } }
        self:request { body = '{"model":"x' .. character .. 'y"}' }
        local line = self.lines[#self.lines]
        assert.is_nil(line:find(character, 1, true), format .. ' ' .. code)
        assert.is_truthy(line:find('x\\u' .. code .. 'y', 1, true), line)
      end
    end
  end)

  it('keeps letters of other alphabets and symbols', function()
    for _, text in ipairs { 'é', 'Ä', '\194\160', '؀', '“”', '…', '中', '😀', '‰' } do
      local self = stage.new { logging = { format = 'json' } }
      self:request { body = '{"model":"x' .. text .. 'y"}' }
      assert.equal('x' .. text .. 'y', json.decode(self.lines[#self.lines]).model)
      assert.is_truthy(self.lines[#self.lines]:find('x' .. text .. 'y', 1, true))
    end
  end)

  it('cannot be forged by a client', function()
    local _, self = served(nil, { body = '{"model":"x\\ny status=999 \\u001b[2J"}' })
    for _, line in ipairs(self.lines) do assert.is_nil(line:find '[%c]') end
    assert.equal('200', (self:line().status))
  end)

  it('holds no secrets', function()
    local options = { providers = { { name = 'one', type = 'anthropic', keys = { { key = 'CANARY-provider-key' } } } },
      server = { auth = { clients = { { name = 'al', key = 'CANARY-client-key' } } } } }
    local _, self = served(options, { headers = { ['x-api-key'] = 'CANARY-client-key', cookie = 'CANARY' },
      path = '/v1/messages?key=CANARY', body = { model = 'CANARY-provider-key' } })
    self:request { path = '/CANARY-provider-key/token=CANARY' , headers = { ['x-api-key'] = 'CANARY-client-key' } }
    assert.is_nil(table.concat(self.lines, '\n'):find 'CANARY')
  end)
end)
