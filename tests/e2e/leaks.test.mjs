// SPDX-License-Identifier: Apache-2.0
// Leaks and loops: headers of clients that must not go upstream, requests that come back to the relay, keys that
// upstreams echo.
import assert from 'node:assert/strict';
import http from 'node:http';
import { setTimeout as sleep } from 'node:timers/promises';
import { test } from './support/test.mjs';
import { Relay, ask, get, post, provider, secret } from './support/relay.mjs';
import { Upstream, healthy } from './support/upstream.mjs';
import * as answers from './support/answers.mjs';
import { bedrock, vertex } from './support/clouds.mjs';

// ---- Headers to upstreams ----------------------------------------------------------------------

const smuggled = [
  'X-HTTP-Method-Override', 'X-HTTP-Method', 'X-Method-Override', 'X-Goog-User-Project', 'X-Goog-Api-Key', 'X-Original-URL', 'X-Rewrite-URL', 'X-Amz-Target',
  'X-Amz-Security-Token', 'X-Amz-Date', 'Forwarded', 'Via', 'X-Forwarded-For', 'X-Forwarded-Host', 'X-Forwarded-Prefix', 'X-Real-IP', 'True-Client-IP',
  'CF-Connecting-IP', 'X-Remote-User', 'Cache-Control', 'Pragma', 'Surrogate-Control', 'X-Ms-Date', 'Api-Key', 'Cookie', 'X_API_KEY', 'x_original_url', 'X_Amz_Target',
  'x_forwarded_for', 'X_HTTP_METHOD_OVERRIDE', 'Cookie2',
];
const value = 'of-the-client';
const given = { ...Object.fromEntries(smuggled.map((name) => [name, value])), 'user-agent': 'claude-cli/2', 'anthropic-new': 'new', 'x-stainless-lang': 'js' };

const hasNoneOf = (headers) => {
  for (const name of smuggled) assert.notEqual(headers[name.toLowerCase()], value, name);
};

for (const type of ['anthropic', 'zai', 'minimax', 'ollama']) {
  test(`${type}: headers that rewrite, forward, cache or bill are not passed on, all others are`, async (t) => {
    const upstream = await Upstream.start(t, 'up', healthy());
    const relay = await Relay.start(t, { config: { providers: [provider(upstream, { type, models: ['claude-*'] })] } });
    assert.equal((await post(relay, ask(), { headers: given })).status, 200);
    const { headers } = upstream.requests.at(-1);
    hasNoneOf(headers);
    for (const name of ['user-agent', 'anthropic-new', 'x-stainless-lang']) assert.equal(headers[name], given[name]);
  });
}

for (const [kind, start] of Object.entries({ bedrock, vertex })) {
  test(`${kind}: only the client's headers in a list are passed on`, async (t) => {
    const scene = await start(t);
    const relay = await Relay.start(t, { config: { providers: [scene.provider] }, env: scene.env });
    const guard = { 'x-amzn-bedrock-guardrailidentifier': 'g1' };
    const answer = await post(relay, ask(), { headers: { ...given, ...guard, 'x-api-key': 'k', 'x-amzn-trace-id': 'x', traceparent: 'x' } });
    assert.equal(answer.status, 200, answer.text);
    const { headers } = scene.mock.requests.at(-1);
    hasNoneOf(headers);
    const kept = ['accept', 'accept-encoding', 'authorization', 'cdn-loop', 'connection', 'content-length', 'content-type', 'host', 'user-agent', 'x-amz-date',
      'x-amz-content-sha256', 'x-amz-security-token', 'anthropic-beta', 'x-goog-user-project', ...(kind === 'bedrock' ? Object.keys(guard) : [])];
    for (const name of Object.keys(headers)) assert.ok(kept.includes(name), name);
    assert.equal(headers['user-agent'], 'claude-cli/2');
  });
}

// ---- Requests that come back -------------------------------------------------------------------

/** A proxy of nobody's: sends what it gets to where it leads, and counts it. */
async function detour(t) {
  const way = { requests: 0, to: undefined };
  const server = http.createServer((request, response) => {
    way.requests += 1;
    const on = http.request(way.to + request.url, { method: request.method, headers: request.headers, agent: false }, (answer) => {
      response.writeHead(answer.statusCode, answer.headers);
      answer.pipe(response);
    });
    on.on('error', () => response.destroy());
    request.pipe(on);
  });
  await new Promise((done) => server.listen(0, '127.0.0.1', done));
  t.after(() => { server.closeAllConnections(); server.close(); });
  way.url = `http://127.0.0.1:${server.address().port}`;
  return way;
}

test('a base_url that points to the relay itself costs one more request, and is a 508 that says why', async (t) => {
  const way = await detour(t);
  const relay = await Relay.start(t, { config: { providers: [provider({ name: 'self', url: way.url })] } });
  way.to = relay.url;
  for (const request of [ask(), ask({ stream: true })]) {
    way.requests = 0;
    const answer = await post(relay, request);
    assert.deepEqual([answer.status, answer.headers['x-should-retry'], way.requests], [508, 'false', 1]);
    assert.match(answer.text, /come back to the relay that sent it \(CDN-Loop\): the base_url of a provider leads here/);
  }
});

test('a relay with keys whose base_url points to itself reports a loop, not a wrong key', async (t) => {
  const way = await detour(t);
  const auth = { api_key: secret('client') };
  const relay = await Relay.start(t, { config: { server: { auth }, providers: [provider({ name: 'self', url: way.url })] } });
  way.to = relay.url;
  const answer = await post(relay, ask(), { headers: { 'x-api-key': auth.api_key } });
  assert.deepEqual([answer.status, way.requests], [508, 1]);
});

test('two relays in a circle are a loop, two in a row are not; another provider serves', async (t) => {
  const way = await detour(t);
  const upstream = await Upstream.start(t, 'up', healthy());
  const second = await Relay.start(t, { config: { providers: [provider({ name: 'way', url: way.url })] } });
  const first = await Relay.start(t, { config: { providers: [provider({ name: 'second', url: second.url }, { priority: 2 }), provider(upstream)] } });
  way.to = first.url;
  assert.equal((await post(first, ask())).status, 200);
  assert.deepEqual([way.requests, upstream.requests.length], [1, 1]);
  way.to = upstream.url;
  assert.equal((await post(second, ask(), { headers: { 'cdn-loop': 'cloudflare; loops=1' } })).status, 200);
  const lines = upstream.requests.at(-1).headers['cdn-loop'];
  assert.match(lines, /^cloudflare; loops=1, ccrelay-[0-9a-f]{16}$/);
});

// ---- Keys that upstreams echo ------------------------------------------------------------------

const own = secret('own');
const hidden = `[redacted]${'*'.repeat(own.length - 10)}`;
const error = (key) => JSON.stringify(answers.error('invalid_request_error', `header x-api-key: ${key} is odd`));

/** Writes a text that holds the key in two parts, the key cut at every place in turn. */
const inHalves = (write) => async (text, key, cut) => {
  const at = text.indexOf(key) + cut;
  await write(text.slice(0, at));
  await sleep(5);
  await write(text.slice(at));
};

const echoes = {
  'the body of a 400': (reply, key) => reply.body(400, error(key)),
  'the body of a 401, in halves': async (reply, key) => {
    const text = error(key);
    await reply.head(401, { 'content-type': 'application/json', 'content-length': text.length });
    await inHalves((part) => reply.write(part))(text, key, 9);
  },
  'a header': (reply, key) => reply.body(400, error('none'), { 'x-debug': `got ${key}!`, [`x-${key}`]: 'name' }),
  'a message': (reply, key) => reply.json(200, answers.message({ text: `You sent ${key}`, from: 'up' })),
  'an answer of 200 kB, cut anywhere': async (reply, key) => {
    const text = JSON.stringify(answers.message({ text: `${'x'.repeat(100_000)} ${key} ${'y'.repeat(100_000)}`, from: 'up' }));
    await reply.head(200, { 'content-type': 'application/json', 'content-length': text.length });
    await inHalves((part) => reply.write(part))(text, key, 30);
  },
};

for (const [where, echo] of Object.entries(echoes)) {
  for (const type of ['anthropic', 'zai']) {
    test(`${type}: a key that the upstream echoes in ${where} does not reach the client`, async (t) => {
      const upstream = await Upstream.start(t, 'up', (request, reply) => echo(reply, (request.headers['x-api-key'] ?? request.headers.authorization).replace('Bearer ', '')));
      const relay = await Relay.start(t, { config: { providers: [provider(upstream, { type, key: own, models: ['claude-*'] })] } });
      const answer = await post(relay, ask());
      assert.ok(!answer.text.includes(own) && !answer.raw.includes(own), answer.raw);
      assert.ok((answer.text + answer.raw).includes(hidden), answer.raw);
      JSON.parse(answer.text);
      assert.ok(upstream.requests.length >= 1);
    });
  }
}

test('a key is found in a stream wherever chunks end, and the stream is not delayed', async (t) => {
  let cut = 0;
  const upstream = await Upstream.start(t, 'up', async (request, reply) => {
    const key = request.headers['x-api-key'];
    await reply.streamHead();
    for (const plain of answers.events({ text: 'A', from: 'up' })) {
      const event = plain.replace('"text":"A"', `"text":"a ${key} b"`);
      if (event.includes(key)) await inHalves((part) => reply.chunk(part))(event, key, cut);
      else await reply.chunk(event);
    }
    await reply.finish();
  });
  const relay = await Relay.start(t, { config: { providers: [provider(upstream, { key: own })] } });
  for (cut = 1; cut < own.length; cut += 4) {
    const answer = await post(relay, ask({ stream: true }));
    assert.equal(answer.status, 200);
    assert.ok(!answer.text.includes(own), answer.text);
    assert.ok(answer.text.includes(hidden), answer.text);
    assert.match(answer.text, /event: message_stop/);
  }
});

test('a key is removed below /v1/files too; a client\'s own key is not', async (t) => {
  const upstream = await Upstream.start(t, 'up', (request, reply) => reply.body(200, `key ${request.headers['x-api-key']}`, { 'content-type': 'text/plain' }));
  const relay = await Relay.start(t, { config: { providers: [provider(upstream, { key: own, transparent: true })] } });
  assert.equal((await get(`${relay.url}/v1/files/f/content`)).text, `key ${hidden}`);
  const theirs = secret('theirs');
  assert.equal((await get(`${relay.url}/v1/files/f/content`, { 'x-api-key': theirs })).text, `key ${theirs}`);
});

test('the AWS session token and secret are removed from an error that shows the canonical request', async (t) => {
  const token = `${secret('session')}/with+slash==`;
  const words = (quote) => JSON.stringify({ message: `The canonical string should have been x-amz-security-token:${token}` }).replaceAll('/', quote);
  const upstream = await Upstream.start(t, 'up', [(request, reply) => reply.body(400, words('/')), (request, reply) => reply.body(400, words('\\/'))]);
  const entry = { name: 'b', type: 'bedrock', aws_region: 'us-east-1', base_url: upstream.url, aws_access_key_id: 'AKIAIOSFODNN7EXAMPLE', aws_secret_access_key: secret('aws'), aws_session_token: token };
  const relay = await Relay.start(t, { config: { providers: [entry] } });
  for (let i = 0; i < 2; i += 1) {
    const answer = await post(relay, ask());
    assert.equal(answer.status, 400);
    assert.match(answer.text, /security-token:\[redacted\]\*+/);
    assert.ok(!answer.text.includes('CANARY'), answer.text);
  }
});
