// SPDX-License-Identifier: Apache-2.0
// The first provider fails in each known way. The second serves, and nothing of the first reaches the client: no byte,
// no header, no request id.
import assert from 'node:assert/strict';
import { test } from './support/test.mjs';
import SDK0 from 'sdk0';
import SDK1 from 'sdk1';
import { Relay, ask, get, pair, post, provider, secret } from './support/relay.mjs';
import { Upstream, faults, healthy, refusing } from './support/upstream.mjs';

export const matrix = {
  'answers 429': faults.status(429, 'rate_limit_error', { 'retry-after': '7' }),
  'answers 429 without retry-after': faults.status(429, 'rate_limit_error'),
  'answers 500': faults.status(500, 'api_error'),
  'answers 502 in HTML': faults.html(502),
  'answers 503': faults.status(503, 'api_error'),
  'answers 529': faults.status(529, 'overloaded_error'),
  'answers 401': faults.status(401, 'authentication_error'),
  'refuses the connection': null,
  'resets before the head': faults.reset(),
  'closes before the head': faults.close(),
  'speaks another protocol': faults.garbage(),
  'stalls before the head': faults.stall(),
  'answers an empty 200': faults.empty(),
  'answers 200 in HTML': faults.html(200),
  'redirects': faults.redirect('http://127.0.0.1:1/first'),
};
const streamed = {
  'answers 200, then an error event': faults.errorEvent(),
  'dies after message_start': faults.cut(1, 'reset'),
  'ends cleanly after message_start': faults.cut(1, 'clean'),
};

const routing = { strategy: 'failover', failover_timeout: 700 };

async function set(t, fault) {
  const first = fault ? await Upstream.start(t, 'first', fault) : Object.assign(await refusing(), { name: 'first' });
  const second = await Upstream.start(t, 'second', healthy({ text: 'served in full' }));
  const relay = await Relay.start(t, { config: { providers: pair(first, second), routing } });
  return { first, second, relay };
}

function nothingOfTheFirst(answer) {
  assert.ok(!`${answer.raw}\n${answer.text}`.includes('first'), `the first provider shows:\n${answer.raw}\n${answer.text}`);
  assert.ok(!`${answer.raw}\n${answer.text}`.includes('retry-after'));
}

for (const [what, fault] of Object.entries({ ...matrix, ...streamed })) {
  test(`a stream when the first provider ${what}`, async (t) => {
    const { first, second, relay } = await set(t, fault);
    const answer = await post(relay, ask({ stream: true }));
    assert.equal(answer.status, 200, answer.text);
    nothingOfTheFirst(answer);
    assert.equal(answer.text.match(/event: message_start\n/g).length, 1);
    assert.match(answer.text, /event: message_stop\n/);
    assert.equal(second.requests.length, 1);
    if (fault) assert.equal(first.requests.length, 1);
    if (fault) assert.equal(first.requests[0].sha256, second.requests[0].sha256);
    assert.equal(second.requests[0].headers['x-api-key'], secret('second'));
    assert.ok(!second.requests[0].head.includes(secret('first')));
  });
}

// The head of a plain answer comes only with the whole answer, so waiting for it is not a stall.
for (const [what, fault] of Object.entries(matrix)) {
  if (what === 'stalls before the head') continue;
  test(`a plain answer when the first provider ${what}`, async (t) => {
    const { second, relay } = await set(t, fault);
    const answer = await post(relay, ask());
    assert.equal(answer.status, 200, answer.text);
    nothingOfTheFirst(answer);
    assert.equal(JSON.parse(answer.text).content[0].text, 'served in full');
    assert.equal(second.requests.length, 1);
  });
}

for (const [name, SDK] of [['0.x', SDK0], ['1.x', SDK1]]) {
  for (const what of ['answers 429', 'answers 500', 'answers 529', 'refuses the connection', 'resets before the head', 'stalls before the head']) {
    test(`SDK ${name} does not notice that the first provider ${what}`, async (t) => {
      const { relay } = await set(t, matrix[what]);
      const client = new SDK({ apiKey: 'none', baseURL: relay.url, maxRetries: 0 });
      const whole = await client.messages.stream(ask()).finalMessage();
      assert.equal(whole.content[0].text, 'served in full');
    });
  }
  test(`SDK ${name} does not notice an error event at the start`, async (t) => {
    const { relay } = await set(t, streamed['answers 200, then an error event']);
    const client = new SDK({ apiKey: 'none', baseURL: relay.url, maxRetries: 0 });
    assert.equal((await client.messages.stream(ask()).finalMessage()).content[0].text, 'served in full');
  });
}

test('an invalid request is not tried at the second provider', async (t) => {
  for (const status of [400, 404, 413, 422]) {
    const first = await Upstream.start(t, 'first', faults.status(status, 'invalid_request_error'));
    const second = await Upstream.start(t, 'second');
    const relay = await Relay.start(t, { config: { providers: pair(first, second), routing } });
    const answer = await post(relay, ask());
    assert.equal(answer.status, status);
    assert.match(answer.text, /refused by first/);
    assert.equal(second.requests.length, 0);
  }
});

test('when all fail, the client gets the first answer unchanged', async (t) => {
  const first = await Upstream.start(t, 'first', faults.status(529, 'overloaded_error', { 'x-should-retry': 'true', 'anthropic-ratelimit-requests-limit': '9' }));
  const second = await Upstream.start(t, 'second', faults.status(500, 'api_error'));
  const relay = await Relay.start(t, { config: { providers: pair(first, second), routing } });
  const answer = await post(relay, ask());
  assert.equal(answer.status, 529);
  assert.equal(answer.text, JSON.stringify({ type: 'error', error: { type: 'overloaded_error', message: 'refused by first' }, request_id: 'req_first' }));
  assert.equal(answer.headers['request-id'], 'req_first');
  assert.equal(answer.headers['anthropic-ratelimit-requests-limit'], '9');
  assert.equal(answer.headers['x-should-retry'], 'true');
});

test('an error that is not in the shape of the API keeps its message', async (t) => {
  const first = await Upstream.start(t, 'first', (request, reply) => reply.json(400, { message: 'the “word” for word' }));
  const relay = await Relay.start(t, { config: { providers: pair(first, first).slice(0, 1), routing } });
  const answer = await post(relay, ask());
  assert.equal(answer.status, 400);
  const { type, error } = JSON.parse(answer.text);
  assert.deepEqual([type, error.type, error.message], ['error', 'invalid_request_error', 'the “word” for word']);
});

test('a provider whose circuit is open is not tried', async (t) => {
  const first = await Upstream.start(t, 'first', faults.status(500, 'api_error'));
  const second = await Upstream.start(t, 'second');
  const relay = await Relay.start(t, {
    config: {
      providers: pair(first, second), routing,
      health: { health_check: { enabled: false }, circuit_breaker: { failure_threshold: 3, open_duration_ms: 60_000, half_open_probes: 1 } },
    },
  });
  for (let n = 0; n < 12; n += 1) assert.equal((await post(relay, ask())).status, 200);
  assert.equal(first.requests.length, 3);
  assert.equal(second.requests.length, 12);
});

test('a key at its limit is left out, the next one serves', async (t) => {
  const first = await Upstream.start(t, 'first', faults.status(429, 'rate_limit_error', { 'retry-after': '60' }));
  const second = await Upstream.start(t, 'second');
  const relay = await Relay.start(t, { config: { providers: pair(first, second), routing } });
  for (let n = 0; n < 5; n += 1) assert.equal((await post(relay, ask())).status, 200);
  assert.equal(first.requests.length, 1);
  assert.equal(second.requests.length, 5);
});

for (const [status, state] of [[401, 'aside'], [429, 'limited']]) {
  test(`an answer of ${status} whose body never ends takes the key out of use`, async (t) => {
    const first = await Upstream.start(t, 'first', async (request, reply) => {
      await reply.head(status, { 'content-type': 'application/json', 'content-length': 1000, 'retry-after': '30' });
      await reply.write('{"type":"error","error":{"type":"half');
      await reply.stall();
    });
    const second = await Upstream.start(t, 'second', [healthy(), faults.reset()]);
    const policy = `local relay = require 'ccrelay'
return { gate = { ms = 300 }, route = function(exchange) return exchange:first(relay.upstreams(exchange)) end }
`;
    const relay = await Relay.start(t, { config: { providers: pair(first, second) }, policy });
    assert.equal((await post(relay, ask())).status, 200);
    const now = JSON.parse((await get(`http://127.0.0.1:${relay.adminPort}/status`)).text);
    assert.equal(now.providers[0].keys[0].state, state);
  });
}

test('an answer of 400 whose body never ends reaches the client as 400', async (t) => {
  const only = await Upstream.start(t, 'only', async (request, reply) => {
    await reply.head(400, { 'content-type': 'application/json', 'content-length': 1000 });
    await reply.write('{"type":"error","error":{"type":"half');
    reply.close();
  });
  const relay = await Relay.start(t, { config: { providers: [provider(only)] } });
  const answer = await post(relay, ask());
  assert.equal(answer.status, 400);
  assert.equal(JSON.parse(answer.text).error.type, 'invalid_request_error');
});

for (const stream of [false, true]) {
  test(`the last candidate's answer of 500 whose body never ends reaches the client as 500, ${stream ? 'streamed' : 'plain'}`, async (t) => {
    const stalls = async (request, reply) => {
      await reply.head(500, { 'content-type': 'application/json', 'content-length': 1000 });
      await reply.write('{"type":"error","error":{"type":"half');
      await reply.stall();
    };
    const first = Object.assign(await refusing(), { name: 'first' });
    const second = await Upstream.start(t, 'second', stalls);
    const policy = `local relay = require 'ccrelay'
return { gate = { ms = 300 }, route = function(exchange) return exchange:first(relay.upstreams(exchange)) end }
`;
    const relay = await Relay.start(t, { config: { server: { idle_ms: 60_000 }, providers: pair(first, second) }, policy });
    const answer = await post(relay, ask({ stream }));
    assert.equal(answer.status, 500, answer.text);
    assert.equal(JSON.parse(answer.text).error.type, 'api_error');
    assert.equal(second.requests.length, 1);
  });
}
