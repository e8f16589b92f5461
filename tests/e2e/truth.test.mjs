// SPDX-License-Identifier: Apache-2.0
// What a client is told is true: delivery headers, retry times, budgets, refusals.
import assert from 'node:assert/strict';
import SDK0 from 'sdk0';
import SDK1 from 'sdk1';
import { test } from './support/test.mjs';
import { Relay, ask, get, post, provider, secret } from './support/relay.mjs';
import { Upstream, faults, healthy } from './support/upstream.mjs';

const generations = [['0.x', SDK0], ['1.x', SDK1]];

const setUp = async (t, handler, config = {}, more = {}) => {
  const upstream = await Upstream.start(t, 'main', handler ?? healthy());
  const relay = await Relay.start(t, { config: { providers: [provider(upstream, { transparent: true })], ...config }, ...more });
  return { upstream, relay };
};

// ---- Delivery headers --------------------------------------------------------------------------

function assertDelivery(answer, { stream, cache = stream ? 'no-cache, no-transform' : undefined }) {
  assert.equal(answer.headers['x-accel-buffering'], 'no');
  assert.equal(answer.headers['cache-control'], cache);
  assert.ok(answer.headers['request-id']);
  assert.equal(answer.headers['x-request-id'], answer.headers['request-id']);
}

for (const stream of [false, true]) {
  test(`an upstream's answer has headers that keep proxies from buffering it, ${stream ? 'streamed' : 'plain'}`, async (t) => {
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

test('delivery headers that the upstream sets are kept', async (t) => {
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

// ---- When to retry -----------------------------------------------------------------------------

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

test('retry-after-ms alone is sent in both headers', async (t) => {
  const { relay } = await setUp(t, limited({ 'retry-after-ms': '45100' }, 529, 'overloaded_error'));
  const { headers } = await post(relay, ask());
  assert.deepEqual([headers['retry-after'], headers['retry-after-ms']], ['46', '45100']);
});

test('a retry-after that a policy sets is sent', async (t) => {
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

test('a spending limit without retry-after gets none', async (t) => {
  const body = { type: 'error', error: { type: 'rate_limit_error', message: 'm', details: { error_code: 'enforced_spend_limit_reached' } } };
  const { relay } = await setUp(t, (request, reply) => reply.json(429, body));
  const answer = await post(relay, ask());
  assert.deepEqual([answer.status, answer.headers['retry-after']], [429, undefined]);
});

test('a client at its limit gets the true time until there is room', async (t) => {
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
  test(`SDK ${name}: a model that serves leaves out is 400, and no provider gets the request`, async (t) => {
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

// ---- Budgets and refusals ----------------------------------------------------------------------

const unified = 'anthropic-ratelimit-unified-';
const alice = { name: 'alice', key: secret('alice'), budget_per_day: 20 };
// An answer of answers.mjs has 12 input and 7 output tokens, and a token costs 1, so a request costs 19.
const routing = { strategy: 'budget', prices: { '*': { input: 1e6, output: 1e6, cache_read: 0, cache_write_5m: 0, cache_write_1h: 0 } } };
// With one worker an answer is counted before the next request is read.
const budgeted = { server: { workers: 1, auth: { clients: [alice, { name: 'bob', key: secret('bob') }], allow_subscription: true } }, routing };
const quota = { 'anthropic-ratelimit-requests-remaining': '7', [`${unified}status`]: 'rejected', 'anthropic-organization-id': 'org' };

const withQuota = (request, reply) => {
  const head = reply.head.bind(reply);
  return healthy()(request, Object.assign(reply, { head: (status, headers) => head(status, { ...headers, ...quota }) }));
};
const nextMidnight = () => `${(Math.floor(Date.now() / 86400_000) + 1) * 86400}`;

const usageOf = (relay, headers) => get(`${relay.url}/api/oauth/usage`, headers);

for (const [name, SDK] of generations) {
  test(`SDK ${name}: a budget that is nearly spent is reported; once spent, requests are refused as by a spend cap`, async (t) => {
    const { upstream, relay } = await setUp(t, withQuota, budgeted);
    const client = new SDK({ apiKey: alice.key, baseURL: relay.url, maxRetries: 2 });
    const first = await client.messages.create(ask()).asResponse();
    assert.equal(first.headers.get(`${unified}status`), 'allowed');
    assert.equal(first.headers.get(`${unified}overage-utilization`), '0.00');
    assert.equal(first.headers.get('anthropic-ratelimit-requests-remaining'), null);
    assert.equal(first.headers.get('anthropic-organization-id'), 'org');
    await first.text();
    const second = await client.messages.create({ ...ask(), stream: true }).asResponse();
    assert.equal(second.headers.get(`${unified}status`), 'allowed_warning');
    assert.equal(second.headers.get(`${unified}overage-surpassed-threshold`), '0.95');
    assert.equal(second.headers.get(`${unified}reset`), nextMidnight());
    await second.text();
    const error = await client.messages.create(ask()).then(() => assert.fail('no error'), (e) => e);
    assert.deepEqual([error.status, error.error.error.type, upstream.requests.length], [429, 'billing_error', 2]);
    assert.match(error.error.error.message, /client "alice" is over its daily budget/);
    const left = Number(nextMidnight()) - Date.now() / 1000;
    assert.ok(Math.abs(Number(error.headers.get('retry-after')) - left) < 60);
    assert.equal(error.headers.get('x-should-retry'), 'false');
    assert.equal(error.headers.get(`${unified}overage-disabled-reason`), 'org_spend_cap_reached');
    assert.equal(error.headers.get(`${unified}representative-claim`), null);
    assert.equal(error.headers.get(`${unified}overage-status`), null);
  });
}

test('clients without a budget get the rate limit headers of the upstream', async (t) => {
  const { relay } = await setUp(t, withQuota, budgeted);
  const { headers } = await post(relay, ask(), { headers: { 'x-api-key': secret('bob') } });
  for (const [header, value] of Object.entries(quota)) assert.equal(headers[header], value);
});

test('/api/oauth/usage reports a client\'s budget, and passes to Anthropic for a subscription', async (t) => {
  const own = '{"five_hour":{"utilization":24}}';
  const token = `sk-ant-oat01-${secret('subscription')}`;
  const { upstream, relay } = await setUp(t, (request, reply) =>
    (request.target === '/api/oauth/usage' ? reply.body(200, own) : healthy()(request, reply)), budgeted);
  await post(relay, ask(), { headers: { 'x-api-key': alice.key } });
  const { extra_usage: extra, limits } = JSON.parse((await usageOf(relay, { 'x-api-key': alice.key })).text);
  assert.deepEqual(extra, { is_enabled: true, monthly_limit: 2000, used_credits: 1900, utilization: 95, currency: 'USD' });
  assert.deepEqual([limits.length, limits[0].percent, limits[0].severity], [1, 95, 'critical']);
  assert.equal(Date.parse(limits[0].resets_at) / 1000, Number(nextMidnight()));
  const bob = JSON.parse((await usageOf(relay, { 'x-api-key': secret('bob') })).text);
  assert.deepEqual([bob.extra_usage.is_enabled, bob.limits], [false, []]);
  assert.equal(upstream.requests.length, 1);
  const passed = await usageOf(relay, { authorization: `Bearer ${token}`, 'anthropic-beta': 'oauth-2025-04-20' });
  assert.equal(passed.text, own);
  const { method, target, headers } = upstream.requests[1];
  assert.deepEqual([method, target, headers.authorization, headers['x-api-key']], ['GET', '/api/oauth/usage', `Bearer ${token}`, undefined]);
  assert.equal(headers['anthropic-beta'], 'oauth-2025-04-20');
  assert.equal((await usageOf(relay, {})).status, 401);
});

for (const [name, SDK] of generations) {
  test(`SDK ${name}: a request that a policy refuses is 400 policy_blocked and is not retried`, async (t) => {
    const policy = "return function(exchange) return exchange:refuse 'Opus is not for use here.' end";
    const { relay } = await setUp(t, undefined, {}, { policy });
    const error = await thrown(SDK, relay, { maxRetries: 3 });
    assert.equal(error.status, 400);
    assert.deepEqual(error.error.error, { type: 'policy_blocked', message: 'Opus is not for use here.' });
    assert.match(error.error.request_id, /^req_ccr_/);
    assert.equal(error.headers.get('x-should-retry'), 'false');
    await relay.printed(/"error":"policy_blocked"/);
    assert.equal(relay.output.match(/"error":"policy_blocked"/g).length, 1);
  });
}

test('a policy reads what Claude Code declares about a request', async (t) => {
  const policy = `return function(exchange)
    local d = exchange.tool_durations
    return exchange:respond { body = table.concat({ exchange.prompt_id, exchange.class, exchange.compaction,
      exchange.context_compacted, d.Bash, d['a;b'] }, ' ') }
  end`;
  const { relay } = await setUp(t, undefined, {}, { policy });
  const answer = await post(relay, ask(), { headers: {
    'x-claude-code-prompt-id': 'p1', 'x-claude-code-request-class': 'side_reply', 'x-claude-code-compaction': 'auto',
    'x-claude-code-context-compacted': 'manual', 'x-claude-code-prev-tool-durations': 'Bash=742;a%3Bb=9;odd',
  } });
  assert.equal(answer.text, 'p1 side_reply auto manual 742 9');
});
