// SPDX-License-Identifier: Apache-2.0
// Batches and files: which paths reach a provider, where the addresses in a batch point, which key a file belongs to.
import assert from 'node:assert/strict';
import net from 'node:net';
import { gzipSync } from 'node:zlib';
import SDK0 from 'sdk0';
import SDK1, { toFile } from 'sdk1';
import { test } from './support/test.mjs';
import { Relay, ask, get, post, provider, secret, send } from './support/relay.mjs';
import { Upstream } from './support/upstream.mjs';
import { workspaces } from './support/workspaces.mjs';

/** One request with this target over a connection of its own, byte for byte: the status of its answer. */
function raw(relay, method, target, headers = '') {
  return new Promise((done, failed) => {
    const socket = net.connect(relay.port, '127.0.0.1');
    let text = '';
    socket.on('data', (bytes) => { text += bytes.toString('latin1'); });
    socket.on('error', failed);
    socket.on('close', () => done(Number(/^HTTP\/1\.1 (\d+)/.exec(text)?.[1])));
    socket.write(Buffer.from(`${method} ${target} HTTP/1.1\r\nhost: 127.0.0.1:${relay.port}\r\n${headers}connection: close\r\n\r\n`, 'latin1'));
  });
}

const hostile = [
  '/..', '/../messages', '/../../v1/messages', '/x/../../messages', '/./../messages', '/.', '/x/.', '/...', '/x.', '/.x',
  '/', '//', '//x', '/x/', '/x//y', '/%2e%2e/messages', '/%2E%2e/messages', '/.%2E/messages', '/%2e', '/%252e%252e/messages',
  '/%25252e%25252e/messages', '/x%2f..%2fmessages', '/x%2Fy', '/x%252fy', '/x%5c..%5cmessages', '/x%5Cy', '/..\\messages',
  '\\..\\messages', '/x;y', '/..;/messages', ';/../messages', '/x%3by', '/x%00', '/x%0d%0ax', '/%66ile', '/x:y', '/x@y',
  '%2f..%2fmessages', '/%c0%ae%c0%ae/messages', '/%u002e%u002e/messages', '/x\0', '/\x80', '/x\ty',
];

test('no spelling of a path escapes from batches and files', async (t) => {
  const upstream = await Upstream.start(t, 'main');
  const relay = await Relay.start(t, { config: { server: { workers: 1 }, providers: [provider(upstream)] } });
  for (const root of ['/v1/files', '/v1/messages/batches']) {
    for (const rest of hostile) {
      for (const [method, target] of [['GET', root + rest], ['POST', `${root}${rest}?beta=true`], ['DELETE', `http://127.0.0.1:${relay.port}${root}${rest}`]]) {
        assert.equal(await raw(relay, method, target, method === 'POST' ? 'content-length: 0\r\n' : ''), 400, `${method} ${target}`);
      }
    }
  }
  assert.deepEqual(upstream.requests.map(({ target }) => target), []);
  assert.equal(await raw(relay, 'GET', '/v1/files/file_1/content?x=/../y'), 404);
  assert.deepEqual(upstream.requests.map(({ target }) => target), ['/v1/files/file_1/content?x=/../y']);
  assert.equal(upstream.requests[0].headers['x-api-key'], secret('main'));
});

const CLIENT = secret('client');
const auth = { server: { workers: 2, auth: { api_key: CLIENT } } };
const requests = (count) => Array.from({ length: count }, (_, n) => ({ custom_id: `r${n}`, params: ask() }));

for (const [name, SDK] of [['0', SDK0], ['1', SDK1]]) {
  test(`a batch from its creation to its results, with SDK ${name}`, async (t) => {
    const upstream = await workspaces(t, 'main', [secret('main')]);
    const relay = await Relay.start(t, { config: { ...auth, providers: [provider(upstream)] } });
    const client = new SDK({ baseURL: relay.url, apiKey: CLIENT, maxRetries: 0 });
    const made = await client.messages.batches.create({ requests: requests(3) });
    assert.equal(made.results_url, null);
    const ended = await client.messages.batches.cancel(made.id);
    const results = `${relay.url}/v1/messages/batches/${made.id}/results`;
    assert.equal(ended.results_url, results);
    assert.equal((await client.messages.batches.retrieve(made.id)).results_url, results);
    for await (const listed of client.messages.batches.list()) assert.equal(listed.results_url, results);
    const lines = [];
    for await (const line of await client.messages.batches.results(made.id)) lines.push(line);
    assert.deepEqual(lines.map((line) => line.custom_id), ['r0', 'r1', 'r2']);
    assert.equal(lines[0].result.message.content[0].text, `see ${upstream.url}/v1/messages/batches`);
    assert.ok(upstream.requests.every(({ head }) => !head.includes(CLIENT)), 'the credential for the relay went to the provider');
    assert.equal((await client.messages.batches.delete(made.id)).type, 'message_batch_deleted');
  });
}

test('an address in a batch becomes that of the relay as the client addressed it, and nothing else changes', async (t) => {
  let text;
  const upstream = await Upstream.start(t, 'main', (request, reply) => reply.body(200, text, { 'x-own': 'stays' }));
  const relay = await Relay.start(t, { config: { server: { workers: 1 }, providers: [{ ...provider(upstream), base_url: `${upstream.url}/gateway` }] } });
  const ask1 = (headers = {}) => get(`${relay.url}/v1/messages/batches/b1`, headers);
  const own = relay.url;
  for (const [sent, expected] of [
    [`{ "results_url" : "${upstream.url}/gateway/v1/messages/batches/b1/results",\n "x": 1.50 }`, `{ "results_url" : "${own}/v1/messages/batches/b1/results",\n "x": 1.50 }`],
    ['{"results_url":"https:\\/\\/api.anthropic.com\\/v1\\/messages\\/batches\\/b1\\/results","t":"\\"https://x"}', `{"results_url":"${own}/v1/messages/batches/b1/results","t":"\\"https://x"}`],
    ['{"results_url":"\\u0068ttps://other.example/signed?x=1"}', `{"results_url":"${own}/signed?x=1"}`],
    ['{"a":[{"next":"HTTPS:other.example/y"},"http:\\\\\\\\other.example\\\\z"]}', `{"a":[{"next":"${own}/y"},"${own}\\\\z"]}`],
    ['{"results_url":null,"text":"see https://docs.example","\\\\":"\\\\"}', '{"results_url":null,"text":"see https://docs.example","\\\\":"\\\\"}'],
  ]) {
    text = sent;
    const answer = await ask1({ 'x-forwarded-host': 'evil.example', 'x-forwarded-proto': 'https', forwarded: 'host=evil.example' });
    assert.equal(answer.text, expected);
    assert.equal(answer.headers['x-own'], 'stays');
    assert.equal(Number(answer.headers['content-length']), Buffer.byteLength(expected));
  }
  text = '{"results_url":"https://api.anthropic.com/v1/messages/batches/b1/results"}';
  for (const [host, origin] of [['localhost', 'http://localhost'], ['[::1]:80', 'http://[::1]:80']]) {
    assert.equal(JSON.parse((await ask1({ host })).text).results_url, `${origin}/v1/messages/batches/b1/results`);
  }
});

test('a batch whose addresses cannot be read is not passed on; an error is', async (t) => {
  const upstream = await Upstream.start(t, 'main', [
    (request, reply) => reply.body(200, '\x1f\x8b', { 'content-encoding': 'gzip' }),
    (request, reply) => reply.json(200, { results_url: 'https://api.anthropic.com/x', filler: 'x'.repeat(9 << 20) }),
    (request, reply) => reply.json(404, { type: 'error', error: { type: 'not_found_error', message: 'no batch' } }),
  ]);
  const relay = await Relay.start(t, { config: { server: { workers: 1 }, providers: [provider(upstream)] } });
  const one = () => send(`${relay.url}/v1/messages/batches/b1`);
  for (const answer of [await one(), await one()]) {
    assert.equal(answer.status, 502);
    assert.match(answer.text, /its addresses cannot be rewritten/);
  }
  const missing = await one();
  assert.equal(missing.status, 404);
  assert.match(missing.text, /no batch/);
});

const [keyA, keyB] = [secret('key-a'), secret('key-b')];
const withKeys = (upstream, ...keys) => [{ name: 'main', type: 'anthropic', base_url: upstream.url, keys: keys.map((key) => ({ key })) }];
const blocks = {
  document: (id) => [{ type: 'document', source: { type: 'file', file_id: id } }],
  'container_upload': (id) => [{ type: 'text', text: 'x' }, { type: 'container_upload', file_id: id }],
  'tool result': (id) => [{ type: 'tool_result', tool_use_id: 't', content: [{ type: 'image', source: { file_id: id, type: 'file' } }] }],
};
const naming = (id, kind = 'document') => ask({ messages: [{ role: 'user', content: blocks[kind](id) }] });
/** With which keys the provider has been asked since request number from. */
const keysSince = (upstream, from) => [...new Set(upstream.requests.slice(from).map(({ headers }) => headers['x-api-key']))];

test('files and batches stay with the key that created them, in all workers and after the order of keys changes', async (t) => {
  const upstream = await workspaces(t, 'main', [keyA, keyB]);
  const relay = await Relay.start(t, { config: { ...auth, providers: withKeys(upstream, keyA, keyB) } });
  const client = new SDK1({ baseURL: relay.url, apiKey: CLIENT, maxRetries: 0 });
  const headers = { 'x-api-key': CLIENT };
  const file = await client.beta.files.upload({ file: await toFile(Buffer.from('contents'), 'a.txt') });
  assert.equal(file.filename, 'https://example.org/v1/files/x', 'files have texts of users, no addresses');
  const batch = await client.messages.batches.create({ requests: requests(1) });
  const use = async (id) => {
    for (const kind of Object.keys(blocks)) {
      for (let n = 0; n < 4; n += 1) assert.equal((await post(relay, naming(id, kind), { headers })).status, 200, kind);
    }
    assert.equal((await post(relay, { ...naming(id), max_tokens: undefined }, { headers, target: '/v1/messages/count_tokens' })).status, 200);
    assert.equal((await client.beta.files.retrieveMetadata(id)).id, id);
    assert.equal(await (await client.beta.files.download(id)).text(), 'contents');
  };
  await use(file.id);
  assert.deepEqual(keysSince(upstream, 0), [keyA]);

  relay.configure({ ...auth, providers: withKeys(upstream, keyB, keyA) });
  process.kill(relay.child.pid, 'SIGHUP');
  await relay.generation(2);
  let from = upstream.requests.length;
  await use(file.id);
  await client.messages.batches.cancel(batch.id);
  for await (const line of await client.messages.batches.results(batch.id)) assert.equal(line.custom_id, 'r0');
  assert.deepEqual(keysSince(upstream, from), [keyA]);

  from = upstream.requests.length;
  const later = await client.beta.files.upload({ file: await toFile(Buffer.from('contents'), 'b.txt') });
  await use(later.id);
  assert.deepEqual(keysSince(upstream, from), [keyB]);
  await client.beta.files.delete(file.id);
  assert.equal(upstream.workspaces[keyA].files.size, 0);

  from = upstream.requests.length;
  for (let n = 0; n < 6; n += 1) assert.equal((await post(relay, naming('file_unknown'), { headers })).status, 404);
  assert.equal((await get(`${relay.url}/v1/messages/batches/msgbatch_unknown`, headers)).status, 404);
  assert.deepEqual(keysSince(upstream, from), [keyB], 'what nobody remembers belongs to the first key');
});

test('a message without a file may go to any key', async (t) => {
  const upstream = await workspaces(t, 'main', [keyA, keyB]);
  const providers = withKeys(upstream, keyA, keyB);
  providers[0].pooling = { strategy: 'round_robin' };
  const relay = await Relay.start(t, { config: { ...auth, providers } });
  for (let n = 0; n < 6; n += 1) assert.equal((await post(relay, ask(), { headers: { 'x-api-key': CLIENT } })).status, 200);
  assert.equal(keysSince(upstream, 0).length, 2);
});

test('each request of a batch counts against the limits of its client and of its key', async (t) => {
  const upstream = await workspaces(t, 'main', [secret('main')]);
  const [limited, free] = [secret('limited'), secret('free')];
  const clients = [{ name: 'limited', key: limited, rpm_limit: 5 }, { name: 'free', key: free }];
  const providers = withKeys(upstream, secret('main'));
  providers[0].keys[0].rpm_limit = 12;
  const relay = await Relay.start(t, { config: { server: { workers: 2, auth: { clients } }, providers } });
  const batch = (key, count, encode = (bytes) => bytes, headers = {}) => post(relay, encode(Buffer.from(JSON.stringify({ requests: requests(count) }))), { target: '/v1/messages/batches', headers: { 'x-api-key': key, ...headers } });
  const message = (key) => post(relay, ask(), { headers: { 'x-api-key': key } });

  const large = await batch(limited, 6);
  assert.equal(large.status, 413, large.text);
  assert.match(large.text, /a batch of 6 requests is more than the 5 a minute \(rpm_limit\) of client \\"limited\\": send smaller batches/);
  assert.equal((await batch(limited, 3)).status, 200);
  const full = await batch(limited, 3);
  assert.equal(full.status, 429, full.text);
  assert.ok(Number(full.headers['retry-after']) > 50);
  assert.equal((await batch(limited, 2, gzipSync, { 'content-encoding': 'gzip' })).status, 200);
  assert.equal((await message(limited)).status, 429);

  assert.equal((await batch(free, 8)).status, 429, 'five of the twelve of the key are gone');
  assert.equal((await batch(free, 0)).status, 200, 'one without requests is one');
  assert.equal((await batch(free, 6)).status, 200);
  assert.equal((await batch(free, 1)).status, 429);
  assert.equal((await message(free)).status, 429);
  assert.equal((await get(`${relay.url}/v1/messages/batches`, { 'x-api-key': free })).status, 200, 'to look at them costs nothing');
  assert.deepEqual(upstream.requests.filter(({ method }) => method === 'POST').map(({ body }) => JSON.parse(body.toString()).requests.length), [3, 2, 0, 6]);
});

test('a batch that is not sent does not count, and one that is not JSON is not sent', async (t) => {
  const upstream = await Upstream.start(t, 'main', (request, reply) => reply.reset());
  const gone = { name: 'main', type: 'anthropic', base_url: 'http://127.0.0.1:1', keys: [{ key: secret('main'), rpm_limit: 3 }] };
  const config = { server: { workers: 1 }, providers: [gone] };
  const relay = await Relay.start(t, { config });
  const batch = (bytes) => post(relay, bytes, { target: '/v1/messages/batches' });
  for (let n = 0; n < 3; n += 1) assert.equal((await batch({ requests: requests(3) })).status, 502);
  relay.configure({ ...config, providers: [{ ...gone, base_url: upstream.url }] });
  process.kill(relay.child.pid, 'SIGHUP');
  await relay.generation(2);
  for (const bytes of ['', '{', '[]', '{"requests":[}']) assert.equal((await batch(bytes)).status, 400, bytes);
  assert.equal(upstream.requests.length, 0);
  assert.equal((await batch({ requests: requests(3) })).status, 502);
  assert.equal((await batch({ requests: requests(1) })).status, 429, 'what was sent may have been taken');
});
