// SPDX-License-Identifier: Apache-2.0
// What a client is told is true: headers of delivery, times to come back, budgets, refusals.
import assert from 'node:assert/strict';
import SDK0 from 'sdk0';
import SDK1 from 'sdk1';
import { test } from './support/test.mjs';
import { Relay, ask, post, provider, secret } from './support/relay.mjs';
import { Upstream, faults, healthy } from './support/upstream.mjs';

const generations = [['0.x', SDK0], ['1.x', SDK1]];

const setUp = async (t, handler, config = {}, more = {}) => {
  const upstream = await Upstream.start(t, 'main', handler ?? healthy());
  const relay = await Relay.start(t, { config: { providers: [provider(upstream)], ...config }, ...more });
  return { upstream, relay };
};

// ---- Headers of delivery -----------------------------------------------------------------------

function assertDelivery(answer, { stream, cache = stream ? 'no-cache, no-transform' : undefined }) {
  assert.equal(answer.headers['x-accel-buffering'], 'no');
  assert.equal(answer.headers['cache-control'], cache);
  assert.ok(answer.headers['request-id']);
  assert.equal(answer.headers['x-request-id'], answer.headers['request-id']);
}

for (const stream of [false, true]) {
  test(`an upstream's answer keeps proxies from holding it back, ${stream ? 'streamed' : 'plain'}`, async (t) => {
    const { relay } = await setUp(t);
    assertDelivery(await post(relay, ask({ stream })), { stream });
  });
}

test('errors of an upstream and of the relay carry x-request-id', async (t) => {
  const { relay } = await setUp(t, (request, reply) => reply.json(400, { type: 'error', error: { type: 'invalid_request_error', message: 'no' } }));
  const passed = await post(relay, ask());
  assert.equal(passed.headers['request-id'], 'req_main');
  assertDelivery(passed, { stream: false });
  assertDelivery(await post(relay, '{'), { stream: false });
});

test('what the upstream sets of these headers stays', async (t) => {
  const headers = { 'cache-control': 'no-store', 'x-accel-buffering': 'yes', 'x-request-id': 'of the upstream' };
  const { relay } = await setUp(t, async (request, reply) => {
    await reply.streamHead(headers);
    await healthy()(request, Object.assign(reply, { streamHead: () => {} }));
  });
  const answer = await post(relay, ask({ stream: true }));
  assert.equal(answer.status, 200);
  for (const [name, value] of Object.entries(headers)) assert.equal(answer.headers[name], value);
});

test('a stream that a policy writes has them too', async (t) => {
  const policy = `return function(exchange)
    return exchange:stream(function(writer) writer:write('event: ping\\ndata: {"type":"ping"}\\n\\n') end)
  end`;
  const { relay } = await setUp(t, undefined, {}, { policy });
  assertDelivery(await post(relay, ask({ stream: true })), { stream: true });
});

// ---- When to come back -------------------------------------------------------------------------

const limited = (headers, status = 429, type = 'rate_limit_error') => faults.status(status, type, headers);

/** The error that an SDK of this generation throws. */
async function thrown(SDK, relay, more = {}) {
  const client = new SDK({ apiKey: secret('client'), baseURL: relay.url, maxRetries: 0, ...more });
  return client.messages.create(ask()).then(() => assert.fail('no error'), (error) => error);
}

for (const [name, SDK] of generations) {
  test(`SDK ${name}: retry-after of an upstream is never shortened`, async (t) => {
    for (const seconds of ['10800', '124633', '61', '7']) {
      const { relay } = await setUp(t, limited({ 'retry-after': seconds }));
      const error = await thrown(SDK, relay);
      assert.equal(error.status, 429);
      assert.equal(error.headers.get('retry-after'), seconds);
      await relay.stop();
    }
  });

  test(`SDK ${name}: a 429 without retry-after gets 1`, async (t) => {
    const { relay } = await setUp(t, limited({}));
    assert.equal((await thrown(SDK, relay)).headers.get('retry-after'), '1');
  });
}

test('retry-after-ms alone is told in both headers', async (t) => {
  const { relay } = await setUp(t, limited({ 'retry-after-ms': '45100' }, 529, 'overloaded_error'));
  const { headers } = await post(relay, ask());
  assert.deepEqual([headers['retry-after'], headers['retry-after-ms']], ['46', '45100']);
});

test('what a policy sets is what is sent', async (t) => {
  const policy = `local relay = require 'ccrelay'
    return function(exchange)
      local outcome = exchange:first(relay.upstreams(exchange))
      outcome.retry_after = 4000
      return outcome
    end`;
  const { relay } = await setUp(t, limited({ 'retry-after': '9', 'retry-after-ms': '8500' }), {}, { policy });
  const { headers } = await post(relay, ask());
  assert.deepEqual([headers['retry-after'], headers['retry-after-ms']], ['4000', undefined]);
});

test('a spending limit without retry-after stays without', async (t) => {
  const body = { type: 'error', error: { type: 'rate_limit_error', message: 'm', details: { error_code: 'enforced_spend_limit_reached' } } };
  const { relay } = await setUp(t, (request, reply) => reply.json(429, body));
  const answer = await post(relay, ask());
  assert.deepEqual([answer.status, answer.headers['retry-after']], [429, undefined]);
});

test('a client at its limit a minute is told the true time until there is room', async (t) => {
  const server = { auth: { clients: [{ name: 'alice', key: secret('alice'), rpm_limit: 1 }] } };
  const { relay } = await setUp(t, healthy(), { server });
  const headers = { 'x-api-key': secret('alice') };
  assert.equal((await post(relay, ask(), { headers })).status, 200);
  const answer = await post(relay, ask(), { headers });
  assert.equal(answer.status, 429);
  const seconds = Number(answer.headers['retry-after']);
  assert.ok(seconds > 30 && seconds <= 61, `${seconds} s`);
});

// ---- Models that are not allowed ---------------------------------------------------------------

for (const [name, SDK] of generations) {
  test(`SDK ${name}: a model that serves leaves out is 400, and nobody is asked`, async (t) => {
    const upstream = await Upstream.start(t, 'main');
    const relay = await Relay.start(t, { config: { providers: [provider(upstream, { serves: ['claude-haiku-*'] })] } });
    const client = new SDK({ apiKey: secret('client'), baseURL: relay.url, maxRetries: 0 });
    const error = await client.messages.create(ask({ model: 'claude-opus-5-5' })).then(() => assert.fail('no error'), (e) => e);
    assert.deepEqual([error.status, error.error.error.type, upstream.requests.length], [400, 'invalid_request_error', 0]);
    assert.match(error.error.error.message, /"claude-opus-5-5" is not allowed/);
    const answer = await client.messages.create(ask({ model: 'claude-haiku-5-5' }));
    assert.equal(answer.content[0].text, 'served by main');
  });
}
