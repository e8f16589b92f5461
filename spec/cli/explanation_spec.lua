-- SPDX-License-Identifier: Apache-2.0
local explanation = require 'ccrelay.cli.explanation'

local function attempt(key, more)
  local made = { provider = key:match '^[^/]+', key = key, model = 'm', at_ms = 0, total_ms = 5, raced = false }
  for name, value in pairs(more or {}) do made[name] = value end
  return made
end

local function candidate(key, more)
  local made = { provider = key:match '^[^/]+', key = key, model = 'm', priority = 1 }
  for name, value in pairs(more or {}) do made[name] = value end
  return made
end

local function record(more)
  local made = {
    id = '0123456789abcdef', at = 1796095296000, client = 'alice', endpoint = 'messages', model = 'claude-sonnet-4-5',
    stream = true, status = 200, provider = 'a', key = 'a/1', sent_model = 'm', total_ms = 1234, first_byte_ms = 100,
    tokens = { input = 1200, output = 34, cache_read = 20000, cache_write_5m = 5, cache_write_1h = 6 }, cost = 0.0125,
    changed_bytes = 0, request_bytes = 96, attempts = { attempt('a/1', { status = 200 }) }, attempts_made = 1,
    candidates = { candidate 'a/1' }, policy = 'failover', in_force = true,
  }
  for name, value in pairs(more or {}) do made[name] = value end
  return made
end

local function told(more) return table.concat(explanation.lines(record(more)), '\n') end

local function has(text, part)
  assert.is_truthy(text:find(part, 1, true), ('%s\n-- does not have: %s'):format(text, part))
end

describe('the explanation of an exchange', function()
  it('tells what became of it', function()
    local text = told { upstream_id = 'req_1', class = 'main', queued_ms = 40, own_ms = 0.26, changed_bytes = 1 }
    has(text, 'Exchange 0123456789abcdef, req_1 at the provider')
    has(text, 'Client alice asked for claude-sonnet-4-5 (messages, as a stream), request class main on 2026-12-01 at')
    has(text, 'It got status 200 from a/1 after 1234 ms (first byte after 100 ms).')
    has(text, 'It waited 40 ms for room in a limit. The relay added 0.3 ms to the time of the upstream.')
    has(text, 'Tokens: 1,200 of input, 20,000 read from the prompt cache, 11 written to it, 34 of output.')
    has(text, 'It cost 0.0125 by routing.prices.')
    has(text, 'The relay changed 1 byte of the 96 of the body.')
    has(text, 'Policy: failover.')
  end)

  it('says that a cost without a price is unknown', function()
    local others = { candidate 'b/1', candidate('c/1', { cost = 2 }) }
    local text = told { cost = false, candidates = { candidate 'a/1', unpack(others) } }
    has(text, 'Its cost is unknown: routing.prices has no price for m at a.')
    has(text, 'b/1 could have served it, but was not needed. Its cost there is unknown: routing.prices has no')
    has(text, 'c/1 could have served it, but was not needed. It would have cost 2.00 for the same tokens.')
  end)

  it('tells why it went where it went', function()
    has(told(), 'It went to a/1 because it was the only candidate.')
    has(told { candidates = { candidate 'a/1', candidate 'b/1' } }, 'because it was the first candidate (priority 1).')
    has(told { candidates = { candidate 'b/1', candidate 'a/1' },
      attempts = { attempt('b/1', { status = 529, error = 'overloaded_error' }), attempt('a/1', { status = 200 }) } },
      'because it was the next candidate when the ones before it had failed.')
    has(told { candidates = { candidate 'b/1', candidate 'a/1' } }, 'because the policy preferred it to the candidates')
    has(told { candidates = { candidate 'a/1', candidate 'b/1' },
      attempts = { attempt('a/1', { status = 200 }), attempt('b/1', { raced = true }) } },
      'because it was the fastest in a race.')
    has(told { candidates = { candidate('a/1', { reason = 'aside', lack = 'billing' }) } },
      'because no other was left, although the key was suspended: its account must pay first.')
    has(told { candidates = {} }, 'because requests of this kind go there.')
  end)

  it('tells what each other candidate would have needed', function()
    local text = told { candidates = {
      candidate 'a/1', candidate('b/1', { reason = 'limited', ready_ms = 61000 }),
      candidate('c', { reason = 'unsupported', lack = 'PDF documents' }), candidate('d', { reason = 'none' }),
      candidate('e/1', { reason = 'open', ready_ms = 1500 }), candidate('f/1', { reason = 'of the future' }) },
      others = { 'g' } }
    has(text, 'b/1 was left out because its rate limits had no room. It would have needed room in its rate limits, '
      .. '61.0 s after the request began.')
    has(text, 'c was left out because it cannot take PDF documents. It would have needed a request without that.')
    has(text, 'd was left out because there was no credential for it.')
    has(text, 'e/1 was left out because its circuit was open after failures. It would have needed the end of that '
      .. 'pause, 1500 ms after')
    has(text, 'f/1 was left out because of "of the future".')
    has(text, 'g was not a candidate: it does not have the model, or the policy excluded it.')
  end)

  it('tells each attempt in the order of time', function()
    local text = told { attempts_made = 4, attempts = {
      attempt('a/1', { status = 200, at_ms = 30, total_ms = 70 }),
      attempt('b/1', { error = 'CC_EREFUSED', detail = 'connection refused', at_ms = 1 }),
      attempt('c/1', { raced = true, at_ms = 20 }) } }
    has(text, '1. at 1 ms: b/1 as m: CC_EREFUSED (connection refused) after 5 ms\n')
    has(text, '2. at 20 ms: c/1 as m: cancelled because another was faster after 5 ms\n')
    has(text, '3. at 30 ms: a/1 as m: its answer went to the client after 70 ms\n')
    has(text, 'and 1 attempt that did not fit into the record')
  end)

  it('tells of exchanges that failed, were refused, or are under way', function()
    local failed = { status = 529, error = 'overloaded_error' }
    local text = told { status = 529, error = 'overloaded_error', tokens = false, cost = 0,
      attempts = { attempt('a/1', failed) }, candidates = { candidate 'a/1', candidate 'a/2', candidate 'b/1' } }
    has(text, 'It got status 529 from a/1, error overloaded_error after 1234 ms')
    has(text, '1. at 0 ms: a/1 as m: 529 overloaded_error, which went to the client after 5 ms')
    has(text, 'a/2 was not asked because another key of a had failed.')
    has(text, 'b/1 was not asked.')
    assert.is_nil(text:find('cost', 1, true))
    local none = { key = false, provider = false, tokens = false, attempts = {}, attempts_made = 0, candidates = {} }
    none.status, none.refused = 401, true
    has(told(none), 'The relay refused it without an attempt.')
    none.status, none.refused = 502, false
    has(told(none), 'No upstream was asked.')
    none.attempts = { attempt('a/1', failed) }
    has(told(none), 'No upstream served it: every attempt failed.')
    has(told { open = true, status = false }, 'It has been under way for 1234 ms, answered by a/1.')
  end)

  it('tells of a conversation that another upstream served before', function()
    has(told { switched = 'org', switch_tokens = 20000 },
      'A key of another organization served the conversation before; 20,000 tokens of its prompt cache were lost')
    has(told { switched = 'key' }, 'Another key of the same organization served the conversation before.')
  end)
end)
