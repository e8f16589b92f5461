-- SPDX-License-Identifier: Apache-2.0
local stage = require 'support.stage'
local logger = require 'ccrelay.log.logger'

describe('any other line', function()
  for _, format in ipairs { 'text', 'json' } do
    it('escapes control characters, in ' .. format, function()
      local self = stage.new { logging = { format = format } }
      logger.new { logging = { format = format } }:say('warn', 'a\194\155b', { 'c', 'd\226\128\174e' })
      local line = self.lines[#self.lines]
      assert.is_truthy(line:find('a\\u009bb', 1, true), line)
      assert.is_truthy(line:find('d\\u202ee', 1, true), line)
    end)
  end
end)

describe('the logger', function()
  it('writes lines of its level and above', function()
    local self = stage.new { logging = { level = 'warn' } }
    self:request()
    assert.equal(0, #self.lines)
    assert.is_false(self.current.logger:writes 'info')
    assert.is_true(self.current.logger:writes 'error')
  end)

  it('colours lines on a terminal only, and never in JSON', function()
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
    self.current.logger = logger.new({ logging = logging }, true)
    work(self)
    return (self.lines[#self.lines]:gsub('\27%[%d*m', ''))
  end

  local function widest(text)
    local most = 0
    for row in text:gmatch '[^\n]+' do most = math.max(most, #row) end
    return most
  end

  it('writes short lines of at most 120 columns on a terminal', function()
    local text = on_terminal(function(self)
      self:reply('one', { status = 200, usage = { input = 1, output = 2 } })
      self:request()
    end)
    assert.is_truthy(text:find('^%d%d:%d%d:%d%d info  exchange status=200 model=claude%-sonnet%-4%-5 key=one/1 '
      .. 'total_ms=%S+ output_tokens=2 id=%x+$'), text)
    assert.is_true(#text <= 120, text)
  end)

  it('shows the path on a terminal if there is no model', function()
    local text = on_terminal(function(self) self:request { method = 'GET', path = '/v1/models' } end)
    assert.is_truthy(text:find(' status=200 method=GET path=/v1/models ', 1, true), text)
  end)

  it('folds long lines on a terminal, and loses nothing', function()
    local words, solid, signs = ('word '):rep(60), ('x'):rep(300), ('中'):rep(100)
    for _, long in ipairs { words, solid, signs } do
      local text = on_terminal(function(self) self.current.logger:say('warn', 'a line', { 'detail', long }) end)
      assert.is_true(widest(text) <= 120, text)
      assert.is_truthy(text:gsub('\n    ', ''):find(long, 1, true), text)
    end
  end)

  it('writes whole lines in JSON, and in a file with colours', function()
    local function work(self) self.current.logger:line('warn', 'm', { 'a', ('x'):rep(300) }) end
    assert.is_nil(on_terminal(work, { format = 'json' }):find('\n', 1, true))
    local self = stage.new()
    logger.new({ logging = { pretty = true } }, false):line('warn', 'm', { 'a', ('x'):rep(300) })
    assert.is_nil(self.lines[1]:find('\n', 1, true))
  end)

  it('quotes values that need it', function()
    local self = stage.new()
    self.current.logger:line('warn', 'word', { 'a', 'two words', 'b', 'x"y', 'c', nil, 'd', '' }, 8)
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

  it('are off by default', function()
    assert.equal(1, #lines(nil).lines)
  end)

  it('show the beginning of bodies', function()
    local self = lines { log_request_body = true, max_body_log_size = 50 }
    assert.equal(1, self:count 'request body')
    for _, line in ipairs(self.lines) do assert.is_true(#line < 500) end
  end)

  it('show response headers', function()
    assert.equal(1, lines({ log_response_headers = true }):count 'response headers .*x%-some: thing')
  end)

  it('show how the connection was made', function()
    assert.equal(1, lines({ log_tls_metrics = true }):count 'connection .*connect_ms=')
  end)
end)
