-- SPDX-License-Identifier: Apache-2.0
local stage = require 'support.stage'

local PROVIDERS = {
  { name = 'z', type = 'zai', keys = { { key = 'sk-z', priority = 9 } } },
  { name = 'a', type = 'anthropic', keys = { { key = 'sk-a' } } },
}

describe('batches and files', function()
  for _, path in ipairs { '/v1/messages/batches', '/v1/messages/batches/b1/results', '/v1/files',
    '/v1/files/f1/content' } do
    it('at ' .. path .. ' go to the first provider that has them', function()
      local self = stage.new { providers = PROVIDERS }
      self:reply('a', { status = 200, headers = { ['content-type'] = 'application/x-jsonl' }, body = 'lines' })
      local answer, exchange = self:request { method = 'GET', path = path .. '?x=1' }
      assert.equal('lines', answer.body)
      assert.equal('a.test', exchange.tries[1].origin.host)
      assert.equal(path .. '?x=1', exchange.tries[1].target)
      assert.equal(stage.C.CC_FRAMING_OPAQUE, exchange.tries[1].framing)
      assert.equal('sk-a', exchange.tries[1].headers['x-api-key'])
    end)
  end

  it('take bodies that are no JSON', function()
    local self = stage.new { providers = PROVIDERS }
    local answer, exchange = self:request { path = '/v1/files', body = '--boundary\r\nbytes' }
    assert.equal(200, answer.status)
    assert.same({}, exchange.tries[1].edits)
  end)

  it('use the client\'s credential where it has one, at a provider that is transparent', function()
    local self = stage.new { providers = {
      { name = 'a', type = 'anthropic', transparent = true, keys = { { key = 'sk-a' } } },
    } }
    local _, exchange = self:request { method = 'DELETE', path = '/v1/files/f',
      headers = { authorization = 'Bearer theirs' } }
    assert.same({ authorization = 'Bearer theirs' }, exchange.tries[1].headers)
    assert.equal('DELETE', exchange.tries[1].method)
  end)

  it('are unknown without such a provider', function()
    local self = stage.new { providers = { PROVIDERS[1] } }
    local answer = self:request { method = 'GET', path = '/v1/files' }
    assert.equal(404, answer.status)
    assert.equal('not_found_error', answer.json.error.type)
  end)

  it('pass errors on, and touch neither limits nor health', function()
    local self = stage.new { providers = { PROVIDERS[2] } }
    self:reply('a', { status = 404, body = '{"type":"error","error":{"type":"not_found_error","message":"no file"}}' },
      { status = 401, body = '{}' }, { status = 200 })
    assert.equal('no file', self:request({ method = 'GET', path = '/v1/files/f' }).json.error.message)
    assert.equal(401, self:request({ method = 'GET', path = '/v1/files/f' }).status)
    assert.equal(200, self:request().status)
  end)
end)
