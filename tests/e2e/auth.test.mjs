// SPDX-License-Identifier: Apache-2.0
// Which clients are accepted, and which credential goes upstream: all combinations.
import assert from 'node:assert/strict';
import { test } from './support/test.mjs';
import { Relay, ask, get, post, provider, secret, send } from './support/relay.mjs';
import { Upstream } from './support/upstream.mjs';

const own = secret('main');
const key = secret('client');
const subscription = `sk-ant-oat01-${key}`;

async function set(t, auth, providers) {
  const upstream = await Upstream.start(t, 'main');
  const relay = await Relay.start(t, { config: { server: auth ? { auth } : {}, providers: providers?.(upstream) ?? [provider(upstream, { transparent: true })] } });
  return { upstream, relay };
}

async function outcome(relay, upstream, headers) {
  const before = upstream.requests.length;
  const answer = await post(relay, ask(), { headers });
  const seen = upstream.requests[before]?.headers;
  return { status: answer.status, answer, sent: seen && { key: seen['x-api-key'], bearer: seen.authorization } };
}

const other = (upstream) => [{ ...provider(upstream), type: 'zai' }];
const both = { 'x-api-key': key };
const table = [
  // auth, providers, what the client sends, status, what goes upstream
  [null, null, {}, 200, { key: own }],
  [null, null, { 'x-api-key': 'theirs' }, 200, { key: 'theirs' }],
  [null, null, { authorization: 'Bearer theirs' }, 200, { bearer: 'Bearer theirs' }],
  [null, other, { 'x-api-key': 'theirs' }, 200, 'own'],
  [null, other, { authorization: 'Bearer theirs' }, 200, 'own'],
  [{ api_key: key }, null, both, 200, { key: own }],
  [{ api_key: key }, null, { authorization: `Bearer ${key}` }, 200, { key: own }],
  [{ api_key: key }, null, {}, 401],
  [{ api_key: key }, null, { 'x-api-key': '' }, 401],
  [{ api_key: key }, null, { 'x-api-key': 'wrong' }, 401],
  [{ api_key: key }, null, { 'x-api-key': key.slice(0, -1) }, 401],
  [{ api_key: key }, null, { 'x-api-key': `${key}x` }, 401],
  [{ api_key: key }, null, { authorization: 'Bearer ' }, 401],
  [{ api_key: key }, null, { authorization: 'Bearer x' }, 401],
  [{ api_key: key }, null, { authorization: `Basic ${key}` }, 401],
  [{ api_key: key }, null, { authorization: `Bearer ${subscription}` }, 401],
  [{ api_key: key }, null, { 'x-api-key': 'x'.repeat(7000) }, 401],
  [{ api_key: [key, 'second-key'] }, null, { 'x-api-key': 'second-key' }, 200, { key: own }],
  [{ api_key: key }, null, { 'x-api-key': key, authorization: 'Bearer wrong' }, 200, { key: own }],
  [{ api_key: [key, 'second-key'] }, null, { 'x-api-key': key, authorization: 'Bearer second-key' }, 401],
  [{ clients: [{ name: 'alice', key }] }, null, both, 200, { key: own }],
  [{ clients: [{ name: 'alice', key }] }, null, { 'x-api-key': 'alice' }, 401],
  [{ allow_bearer: true, bearer_secret: key }, null, { authorization: `Bearer ${key}` }, 200, { key: own }],
  [{ allow_bearer: true, bearer_secret: key }, null, { authorization: 'Bearer other' }, 401],
  [{ allow_bearer: true, bearer_secret: key }, null, {}, 401],
  [{ allow_subscription: true, api_key: key }, null, { authorization: `Bearer ${subscription}` }, 200, { bearer: `Bearer ${subscription}` }],
  [{ allow_subscription: true, api_key: key }, null, { authorization: 'Bearer sk-ant-api03-x' }, 401],
  [{ allow_subscription: true, api_key: key }, other, { authorization: `Bearer ${subscription}` }, 200, 'own'],
];

table.forEach(([auth, providers, headers, status, expected], n) => {
  const shown = JSON.stringify({ auth, client: headers, provider: providers ? 'zai' : 'anthropic' });
  const say = shown.replace(/\w*CANARY\w*[-\w]*|sk-ant[-\w]*/g, 'KEY').slice(0, 150);
  test(`auth ${n + 1}: ${say}`, async (t) => {
    const { relay, upstream } = await set(t, auth, providers);
    const seen = await outcome(relay, upstream, headers);
    assert.equal(seen.status, status, seen.answer.text);
    if (status === 401) {
      assert.equal(seen.sent, undefined, 'something went upstream');
      assert.equal(JSON.parse(seen.answer.text).error.type, 'authentication_error');
      assert.equal(seen.answer.headers['x-should-retry'], 'false');
    } else if (expected === 'own') {
      const sent = `${seen.sent.key ?? ''} ${seen.sent.bearer ?? ''}`;
      assert.ok(sent.includes(own) && !sent.includes('theirs') && !sent.includes(key), 'not the key of the provider');
    } else {
      assert.equal(seen.sent.key, expected.key);
      assert.equal(seen.sent.bearer, expected.bearer);
    }
  });
});

test('missing, empty and wrong credentials get the same refusal', async (t) => {
  const { relay } = await set(t, { api_key: key });
  const bodies = new Set();
  for (const headers of [{}, { 'x-api-key': '' }, { 'x-api-key': 'wrong' }, { authorization: 'Bearer wrong' }]) {
    const { answer } = await outcome(relay, { requests: [] }, headers);
    bodies.add(answer.text.replace(/"request_id":"[^"]*"/, ''));
  }
  assert.equal(bodies.size, 1);
});

test('health probes need no key, everything else does', async (t) => {
  const { relay } = await set(t, { api_key: key });
  for (const [method, path] of [['GET', '/health'], ['HEAD', '/health'], ['GET', '/health/ready'], ['HEAD', '/'], ['GET', '/'], ['HEAD', '/api/hello'], ['GET', '/api/hello']]) {
    assert.equal((await send(relay.url + path, { method })).status, 200, `${method} ${path}`);
  }
  for (const path of ['/v1/models', '/v1/providers', '/v1/unknown', '/v1/messages/batches', '//v1/messages', '/V1/messages']) {
    assert.equal((await get(relay.url + path)).status, 401, path);
  }
  assert.equal((await get(`${relay.url}/v1/unknown`, { 'x-api-key': key })).status, 404);
  const wrong = await get(`${relay.url}/v1/messages`, { 'x-api-key': key });
  assert.equal(wrong.status, 405);
  assert.match(wrong.headers.allow, /POST/);
});

test('no answer, status or metric contains a key', async (t) => {
  const { relay, upstream } = await set(t, { api_key: key });
  upstream.plan = [(request, reply) => reply.json(400, { type: 'error', error: { type: 'invalid_request_error', message: 'no' } })];
  const pages = [await post(relay, ask(), { headers: both }), await get(`${relay.url}/v1/providers`, both), await get(`${relay.url}/v1/models`, both)];
  for (const page of ['/', '/metrics', '/status', '/api/status', '/dashboard']) {
    const answer = await get(`http://127.0.0.1:${relay.adminPort}${page}`).catch(() => null);
    if (answer) pages.push(answer);
  }
  assert.ok(pages.length > 3, 'the admin listener did not answer');
  for (const page of pages) assert.ok(!`${page.raw}${page.text}`.includes(key.slice(0, 24)) && !`${page.raw}${page.text}`.includes(own));
});

test('listening beyond loopback without keys is refused at the start', async (t) => {
  const upstream = await Upstream.start(t, 'main');
  const relay = await Relay.start(t, { ready: false, config: { server: { listen: '0.0.0.0:0' }, providers: [provider(upstream)] } });
  relay.expectedCode = 78;
  assert.equal((await relay.exited).code, 78, relay.output);
  assert.match(relay.output, /auth/);
});
