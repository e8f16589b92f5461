// SPDX-License-Identifier: Apache-2.0
// Bodies arrive upstream byte for byte, large ones too. An edit changes nothing else.
import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import net from 'node:net';
import { test } from './support/test.mjs';
import { Relay, ask, post, provider, send, version } from './support/relay.mjs';
import { Upstream } from './support/upstream.mjs';

const sha256 = (bytes) => createHash('sha256').update(bytes).digest('hex');
const tail = '"max_tokens":9,"messages":[{"role":"user","content":"hi"}]';

async function set(t, more = {}) {
  const upstream = await Upstream.start(t, 'main');
  const relay = await Relay.start(t, { config: { providers: [provider(upstream, more)] } });
  return { upstream, relay };
}

const exact = {
  'odd spacing': ` \r\n\t{ "model"\t:\n"m" ,${tail}\n } \n`,
  'escapes': `{"model":"m","x":"\\u00e9\\/\\b\\f\\u005c\\"\\u0000","${'\\u006b'}ey":"\\ud83d\\ude00",${tail}}`,
  'doubled names elsewhere': `{"model":"m","a":1,"a":2,"metadata":{"user_id":"x","user_id":"y"},${tail}}`,
  'large and exact numbers': `{"model":"m","n":[123456789012345678901234567890,1.0,1e400,-0,0.30000000000000004,1E+2],${tail}}`,
  'lone surrogates': `{"model":"m","s":"\\ud83d cut \\ude00","\\udead":0,${tail}}`,
  'text beyond ASCII': `{"model":"m","s":"żółć 日本語 🎈 \u2028",${tail}}`,
  'model last and unknown fields': `{${tail},"brand_new":{"model":"inner","deep":[[[[{}]]]]},"model":"m"}`,
  'empty containers': `{"model":"m","e":[],"o":{},"n":null,${tail}}`,
};

test('bodies arrive unchanged', async (t) => {
  const { upstream, relay } = await set(t);
  for (const [what, text] of Object.entries(exact)) {
    const answer = await post(relay, text);
    assert.equal(answer.status, 200, `${what}: ${answer.text}`);
    const seen = upstream.requests.at(-1);
    assert.equal(seen.sha256, sha256(text), what);
    assert.equal(seen.headers['content-length'], String(Buffer.byteLength(text)), what);
  }
  assert.equal(upstream.requests.length, Object.keys(exact).length);
});

test('a mapped model is the only change', async (t) => {
  const { upstream, relay } = await set(t, { model_mapping: { m: 'mapped "name" \\ é', 'claude-*': 'other' } });
  for (const [what, text] of Object.entries(exact)) {
    assert.equal((await post(relay, text)).status, 200, what);
    const at = text.lastIndexOf('"m"');
    const expected = `${text.slice(0, at)}${JSON.stringify('mapped "name" \\ é')}${text.slice(at + 3)}`;
    assert.equal(upstream.requests.at(-1).body.toString(), expected, what);
  }
  await post(relay, `{"model":"claude-x", ${tail}}`);
  assert.equal(upstream.requests.at(-1).body.toString(), `{"model":"other", ${tail}}`);
  await post(relay, `{"model":"unmapped", ${tail}}`);
  assert.equal(upstream.requests.at(-1).body.toString(), `{"model":"unmapped", ${tail}}`);
});

const wrong = {
  'model twice': `{"model":"m","model":"n",${tail}}`,
  'model twice, once in disguise': `{"model":"m","mod\\u0065l":"n",${tail}}`,
  'no model': `{${tail}}`,
  'an empty model': `{"model":"",${tail}}`,
  'a model that is no text': `{"model":["m"],${tail}}`,
  'two values': `{"model":"m",${tail}} {}`,
  'a comma too many': `{"model":"m",${tail},}`,
  'a list': '[]',
  'nothing': '',
  'half a body': `{"model":"m",${tail}`,
  'NaN': `{"model":"m","x":NaN,${tail}}`,
  'a byte order mark': `\ufeff{"model":"m",${tail}}`,
  'nesting of 100,000': `{"model":"m","x":${'['.repeat(100_000)}${']'.repeat(100_000)},${tail}}`,
};

test('a body that is not one JSON object with one model is refused and not sent', async (t) => {
  const { upstream, relay } = await set(t);
  for (const [what, text] of Object.entries(wrong)) {
    const answer = await post(relay, text);
    assert.equal(answer.status, 400, `${what}: ${answer.text}`);
    const body = JSON.parse(answer.text);
    assert.deepEqual([body.type, body.error.type], ['error', 'invalid_request_error'], what);
    assert.match(body.request_id, /./, what);
  }
  const bad = Buffer.concat([Buffer.from('{"model":"m","x":"'), Buffer.from([0xc3, 0x28, 0xed, 0xa0, 0x80]), Buffer.from(`",${tail}}`)]);
  assert.equal((await post(relay, bad)).status, 400, 'invalid UTF-8');
  assert.equal(upstream.requests.length, 0);
});

function large(size) {
  const head = `{"model":"m",${tail},"filler":"`;
  return Buffer.from(`${head}${'abcdefgh\\n'.repeat(Math.ceil((size - head.length) / 10))}"}`);
}

test('10 MB with a length, in chunks, and after 100-continue', async (t) => {
  const { upstream, relay } = await set(t);
  const body = large(10_000_000);
  const forms = [{}, { 'transfer-encoding': 'chunked', 'content-length': undefined }];
  for (const headers of forms) {
    assert.equal((await post(relay, body, { headers })).status, 200);
    assert.equal(upstream.requests.at(-1).sha256, sha256(body));
    assert.equal(upstream.requests.at(-1).headers['content-length'], String(body.length));
  }
  const continued = await withContinue(relay, body);
  assert.match(continued.interim, /^HTTP\/1\.1 100 /);
  assert.match(continued.final, /^HTTP\/1\.1 200 /);
  assert.equal(upstream.requests.at(-1).sha256, sha256(body));
  assert.ok(!('expect' in upstream.requests.at(-1).headers));
});

function withContinue(relay, body) {
  return new Promise((done, fail) => {
    const socket = net.connect(relay.port, '127.0.0.1');
    let text = '';
    let interim = null;
    socket.on('error', fail);
    socket.on('data', (bytes) => {
      text += bytes.toString('latin1');
      if (interim === null && text.includes('\r\n\r\n')) {
        interim = text;
        text = '';
        if (interim.startsWith('HTTP/1.1 100')) socket.write(body);
        else socket.destroy();
      }
      if (interim && text.includes('"stop_sequence"')) { socket.destroy(); done({ interim, final: text }); }
    });
    socket.on('close', () => done({ interim, final: text }));
    socket.write(`POST /v1/messages HTTP/1.1\r\nHost: localhost\r\nanthropic-version: 2023-06-01\r\ncontent-type: application/json\r\nExpect: 100-continue\r\nContent-Length: ${body.length}\r\n\r\n`);
  });
}

test('a body over the limit is refused with 413, whole or in chunks', async (t) => {
  const upstream = await Upstream.start(t, 'main');
  const relay = await Relay.start(t, { config: { server: { max_body_bytes: 100_000 }, providers: [provider(upstream)] } });
  assert.equal((await post(relay, large(99_000))).status, 200);
  for (const headers of [{}, { 'transfer-encoding': 'chunked', 'content-length': undefined }]) {
    const answer = await post(relay, large(150_000), { headers });
    assert.equal(answer.status, 413);
    assert.equal(JSON.parse(answer.text).error.type, 'request_too_large');
  }
  assert.equal(upstream.requests.length, 1);
});

test('headers of the client are passed on, credentials and connection headers are not', async (t) => {
  const { upstream, relay } = await set(t);
  const headers = {
    ...version, 'anthropic-beta': 'one-2025-01-01,two-2026-02-02', 'x-claude-code-session-id': 'abc', 'x-stainless-lang': 'js',
    'anthropic-something-new': 'kept', cookie: 'session=1', 'proxy-authorization': 'Basic x', te: 'trailers', 'x-api-key': 'of-the-client',
  };
  const body = JSON.stringify(ask());
  await send(`${relay.url}/v1/messages?beta=true&x=%2F`, { method: 'POST', headers: { ...headers, 'content-length': body.length }, body });
  const seen = upstream.requests[0];
  assert.equal(seen.target, '/v1/messages?beta=true&x=%2F');
  for (const name of ['anthropic-beta', 'anthropic-version', 'x-claude-code-session-id', 'x-stainless-lang', 'anthropic-something-new']) {
    assert.equal(seen.headers[name], headers[name], name);
  }
  for (const name of ['cookie', 'proxy-authorization', 'te']) assert.ok(!(name in seen.headers), name);
  assert.equal(seen.headers.host, `127.0.0.1:${upstream.port}`);
  assert.equal(seen.headers['accept-encoding'], 'identity');
});
