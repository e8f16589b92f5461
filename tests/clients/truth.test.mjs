// SPDX-License-Identifier: Apache-2.0
// What a client is told is true: headers of delivery, times to come back, budgets, refusals.
import assert from 'node:assert/strict';
import { test } from './support/test.mjs';
import { Relay, ask, post, provider } from './support/relay.mjs';
import { Upstream, healthy } from './support/upstream.mjs';

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
