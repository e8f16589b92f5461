-- SPDX-License-Identifier: Apache-2.0
local stage = require 'support.stage'
local logger = require 'ccrelay.log.logger'
local json = require 'ccrelay.util.json'

describe('a line of another kind', function()
  for _, format in ipairs { 'text', 'json' } do
    it('shows what controls a terminal, in ' .. format, function()
      local self = stage.new { logging = { format = format } }
      logger.new { logging = { format = format } }:say('warn', 'a\194\155b', { 'c', 'd\226\128\174e' })
      local line = self.lines[#self.lines]
      assert.is_truthy(line:find('a\\u009bb', 1, true), line)
      assert.is_truthy(line:find('d\\u202ee', 1, true), line)
    end)
  end
end)

describe('the line of an exchange', function()
  local function served(options, request)
    local self = stage.new(options)
    self:reply('one', { status = 200, body = 'twelve bytes', changed_bytes = 9,
      usage = { input = 1, output = 2, cache_read = 3,
      cache_5m = 4, cache_1h = 5 } })
    self:request(request)
    return self:line(), self
  end

  it('tells all of it in text', function()
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

  it('tells the same in JSON', function()
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

  it('tells every try', function()
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

  it('tells of an error that was passed on', function()
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

  it('is there once for every request, whatever became of it', function()
    local self = stage.new { server = { auth = { api_key = 'relay-key-1' } }, logging = { level = 'debug' } }
    self:requests({}, { path = '/nothing' }, { method = 'GET', path = '/health' }, { gone_after = 0 },
      { headers = { ['x-api-key'] = 'relay-key-1' }, body = '{' })
    assert.equal(5, self:count ' exchange ')
  end)

  it('is of level debug for what monitors and scanners ask, and a warning when an answer broke off', function()
    local self = stage.new()
    local function level(request)
      self.current.journal.level = 1
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

  it('is of a path that is not served info without the key', function()
    local self = stage.new { server = { auth = { api_key = 'relay-key-1' } } }
    self:request { path = '/nothing' }
    assert.equal('401', self:line().status)
  end)

  it('has what TLS said of an attempt that failed, also when another one served', function()
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

  it('has no character that a terminal obeys, in text and in JSON', function()
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

  it('keeps what other alphabets and signs look like', function()
    for _, text in ipairs { 'é', 'Ä', '\194\160', '؀', '“”', '…', '中', '😀', '‰' } do
      local self = stage.new { logging = { format = 'json' } }
      self:request { body = '{"model":"x' .. text .. 'y"}' }
      assert.equal('x' .. text .. 'y', json.decode(self.lines[#self.lines]).model)
      assert.is_truthy(self.lines[#self.lines]:find('x' .. text .. 'y', 1, true))
    end
  end)

  it('cannot be forged by what a client sends', function()
    local _, self = served(nil, { body = '{"model":"x\\ny status=999 \\u001b[2J"}' })
    for _, line in ipairs(self.lines) do assert.is_nil(line:find '[%c]') end
    assert.equal('200', (self:line().status))
  end)

  it('holds no secret', function()
    local options = { providers = { { name = 'one', type = 'anthropic', keys = { { key = 'CANARY-provider-key' } } } },
      server = { auth = { clients = { { name = 'al', key = 'CANARY-client-key' } } } } }
    local _, self = served(options, { headers = { ['x-api-key'] = 'CANARY-client-key', cookie = 'CANARY' },
      path = '/v1/messages?key=CANARY', body = { model = 'CANARY-provider-key' } })
    self:request { path = '/CANARY-provider-key/token=CANARY' , headers = { ['x-api-key'] = 'CANARY-client-key' } }
    assert.is_nil(table.concat(self.lines, '\n'):find 'CANARY')
  end)
end)

describe('the journal', function()
  it('keeps to its level', function()
    local self = stage.new { logging = { level = 'warn' } }
    self:request()
    assert.equal(0, #self.lines)
    assert.is_false(self.current.journal:writes 'info')
    assert.is_true(self.current.journal:writes 'error')
  end)

  it('is coloured on a terminal only, and never in JSON', function()
    local function first_line(logging, terminal)
      local self = stage.new()
      logger.new({ logging = logging }, terminal):line('info', 'word')
      return self.lines[1]
    end
    assert.is_nil(first_line({ pretty = 'auto' }, false):find '\27')
    assert.is_truthy(first_line({ pretty = 'auto' }, true):find '\27')
    assert.is_truthy(first_line({ pretty = true }, false):find '\27')
    assert.is_nil(first_line({ pretty = true, format = 'json' }, true):find '\27')
  end)

  -- The lines that a terminal gets for something, without colours.
  local function on_terminal(work, logging)
    local self = stage.new { logging = logging }
    self.current.journal = logger.new({ logging = logging }, true)
    work(self)
    return (self.lines[#self.lines]:gsub('\27%[%d*m', ''))
  end

  local function widest(text)
    local most = 0
    for row in text:gmatch '[^\n]+' do most = math.max(most, #row) end
    return most
  end

  it('is one of 120 columns at most on a terminal, with what a person looks for', function()
    local text = on_terminal(function(self)
      self:reply('one', { status = 200, usage = { input = 1, output = 2 } })
      self:request()
    end)
    assert.is_truthy(text:find('^%d%d:%d%d:%d%d info  exchange status=200 model=claude%-sonnet%-4%-5 key=one/1 '
      .. 'total_ms=%S+ output_tokens=2 id=%x+$'), text)
    assert.is_true(#text <= 120, text)
  end)

  it('says on a terminal which path it was when there is no model', function()
    local text = on_terminal(function(self) self:request { method = 'GET', path = '/v1/models' } end)
    assert.is_truthy(text:find(' status=200 method=GET path=/v1/models ', 1, true), text)
  end)

  it('is folded on a terminal when it is long, and loses nothing', function()
    local words, solid, signs = ('word '):rep(60), ('x'):rep(300), ('中'):rep(100)
    for _, long in ipairs { words, solid, signs } do
      local text = on_terminal(function(self) self.current.journal:say('warn', 'a line', { 'detail', long }) end)
      assert.is_true(widest(text) <= 120, text)
      assert.is_truthy(text:gsub('\n    ', ''):find(long, 1, true), text)
    end
  end)

  it('is whole in JSON, and where colours are wanted in a file', function()
    local function work(self) self.current.journal:line('warn', 'm', { 'a', ('x'):rep(300) }) end
    assert.is_nil(on_terminal(work, { format = 'json' }):find('\n', 1, true))
    local self = stage.new()
    logger.new({ logging = { pretty = true } }, false):line('warn', 'm', { 'a', ('x'):rep(300) })
    assert.is_nil(self.lines[1]:find('\n', 1, true))
  end)

  it('quotes values that need it', function()
    local self = stage.new()
    self.current.journal:line('warn', 'word', { 'a', 'two words', 'b', 'x"y', 'c', nil, 'd', '' }, 8)
    assert.equal(1, self:count 'word a="two words" b="x\\"y" d=""$')
  end)
end)

describe('debug options', function()
  local function lines(options)
    local self = stage.new { logging = { level = 'debug', debug_options = options } }
    self:reply('one', { status = 200, headers = { ['x-some'] = 'thing' } })
    self:request { body = { text = ('z'):rep(3000) } }
    return self
  end

  it('are silent unless asked for', function()
    assert.equal(1, #lines(nil).lines)
  end)

  it('show the beginning of bodies', function()
    local self = lines { log_request_body = true, max_body_log_size = 50 }
    assert.equal(1, self:count 'request body')
    for _, line in ipairs(self.lines) do assert.is_true(#line < 500) end
  end)

  it('show headers of answers', function()
    assert.equal(1, lines({ log_response_headers = true }):count 'response headers .*x%-some: thing')
  end)

  it('show how the connection was made', function()
    assert.equal(1, lines({ log_tls_metrics = true }):count 'connection .*connect_ms=')
  end)
end)
