-- SPDX-License-Identifier: Apache-2.0
-- The spans made from a record: how many, their times and their attributes.
local spans = require 'ccrelay.traces.spans'

local TRACE, PREFIX = ('a'):rep(32), ('b'):rep(12)

local function attempt(number, more)
  local one = { provider = 'zai', key = 'zai/1', model = 'GLM-4.7', at_ms = 10 * number, total_ms = 5, status = 200,
    raced = false, unsent = false, span_id = PREFIX .. ('%04x'):format(number) }
  for name, value in pairs(more or {}) do one[name] = value end
  return one
end

local function record(more)
  local one = {
    id = 'x1', trace_id = TRACE, span_id = PREFIX .. '0000', at = 1764556800123.4, total_ms = 100.5, status = 200,
    endpoint = 'messages', model = 'claude-a', provider = 'zai', key = 'zai/1', stream = true, request_bytes = 9,
    response_bytes = 10, attempts = { attempt(1) }, attempts_made = 1,
    tokens = { input = 1, output = 2, cache_read = 4, cache_write_5m = 8, cache_write_1h = 16 },
  }
  for name, value in pairs(more or {}) do one[name] = value end
  return one
end

local function of(more) return spans.of(record(more), { providers = { zai = 'zai', aws = 'aws.bedrock' } }) end

local function attributes(span)
  local found = {}
  for _, one in ipairs(span.attributes) do
    assert.is_nil(found[one.key], one.key)
    local _, value = next(one.value)
    found[one.key] = value
  end
  return found
end

describe('the spans of an exchange', function()
  it('are one for it and one for each attempt', function()
    local list = of { attempts = { attempt(1, { status = 529, error = 'overloaded_error' }), attempt(2) } }
    assert.same({ 2, 3, 3 }, { list[1].kind, list[2].kind, list[3].kind })
    assert.same({ PREFIX .. '0000', PREFIX .. '0001', PREFIX .. '0002' },
      { list[1].spanId, list[2].spanId, list[3].spanId })
    assert.same({ list[1].spanId, list[1].spanId }, { list[2].parentSpanId, list[3].parentSpanId })
    assert.is_nil(list[1].parentSpanId)
    assert.equal('POST /v1/messages', list[1].name)
    assert.equal('chat GLM-4.7', list[3].name)
  end)

  it('are none if it is not traced', function()
    assert.same({}, spans.of({ attempts = {} }, { providers = {} }))
  end)

  it('have the client\'s span above them', function()
    assert.equal('c', of { parent_span_id = 'c' }[1].parentSpanId)
  end)

  it('have their times in nanoseconds', function()
    local list = of()
    assert.same({ '1764556800123400000', '1764556800223900000' },
      { list[1].startTimeUnixNano, list[1].endTimeUnixNano })
    assert.same({ '1764556800133400000', '1764556800138400000' },
      { list[2].startTimeUnixNano, list[2].endTimeUnixNano })
  end)

  it('count the tokens of the cache as input, once', function()
    local list = of { attempts = { attempt(1, { error = 'x' }), attempt(2) } }
    local own = attributes(list[3])
    assert.same({ '29', '2', '4', '24' }, { own['gen_ai.usage.input_tokens'], own['gen_ai.usage.output_tokens'],
      own['gen_ai.usage.cache_read.input_tokens'], own['gen_ai.usage.cache_creation.input_tokens'] })
    for _, span in ipairs { list[1], list[2] } do assert.is_nil(attributes(span)['gen_ai.usage.input_tokens']) end
  end)

  it('name the provider as the conventions do', function()
    local list = of { attempts = { attempt(1, { provider = 'aws', key = 'aws' }), attempt(2, { provider = 'own' }) } }
    assert.equal('aws.bedrock', attributes(list[2])['gen_ai.provider.name'])
    assert.equal('own', attributes(list[3])['gen_ai.provider.name'])
    assert.equal('gcp.vertex_ai', spans.provider_name 'vertex')
    assert.equal('ollama', spans.provider_name 'ollama')
  end)

  it('tell an attempt that lost a race, without an error', function()
    local list = of { attempts = { attempt(1), attempt(2, { raced = true, status = 0 }) } }
    assert.is_true(attributes(list[3])['ccrelay.cancelled'])
    assert.is_nil(list[3].status)
    assert.equal('29', attributes(list[2])['gen_ai.usage.input_tokens'])
  end)
end)

describe('the status of a span', function()
  it('of the exchange is an error if the relay or its upstreams failed', function()
    for _, case in ipairs {
      { false, {} }, { true, { status = 529, error = 'overloaded_error' } }, { true, { error = 'CC_ERESET' } },
      { false, { status = 400, error = 'invalid_request_error' } }, { false, { status = 429, error = 'limited' } },
    } do
      local expected, more = case[1], case[2]
      assert.equal(expected, of(more)[1].status ~= nil, tostring(more.status))
    end
    assert.is_not_nil(spans.of({ trace_id = TRACE, at = 1, total_ms = 1, attempts = {} }, {})[1].status)
  end)

  it('of an attempt is an error for every failure, with what TLS or the system said', function()
    local tls = attempt(1, { error = 'CC_ETLS', detail = 'expired' })
    local list = of { attempts = { tls, attempt(2, { status = 404 }) } }
    assert.same({ code = 2, message = 'expired' }, list[2].status)
    assert.same({ code = 2 }, list[3].status)
  end)
end)

describe('cost', function()
  it('is there only if it is known, also 0', function()
    assert.is_nil(attributes(of()[1])['ccrelay.cost'])
    assert.equal(0, attributes(of { cost = 0 }[1])['ccrelay.cost'])
  end)
end)
